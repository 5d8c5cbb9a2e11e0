//! What is sent to the shop is written against its schema, and can change nothing there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use apollo_compiler::executable::OperationType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema};

use super::operation::Operation;
use crate::mirror::upstream::samples::named_or_beside;

fn validate(schema: &Valid<Schema>, operation: Operation) -> Valid<ExecutableDocument> {
    ExecutableDocument::parse_and_validate(schema, operation.document(), operation.name())
        .unwrap_or_else(|error| panic!("{}: {}", operation.name(), error.errors))
}

fn cut() -> Valid<Schema> {
    Schema::parse_and_validate(include_str!("schema.graphql"), "schema.graphql")
        .unwrap_or_else(|error| panic!("{}", error.errors))
}

#[test]
fn every_document_is_valid_against_the_cut_of_the_schema() {
    let schema = cut();
    for operation in Operation::ALL {
        validate(&schema, operation);
    }
}

#[test]
fn every_document_is_valid_against_the_whole_schema_where_there_is_one() {
    let Some(path) = named_or_beside("HOLDFAST_ADMIN_SCHEMA", "shopify/admin_2026-10.graphql") else {
        eprintln!(
            "HOLDFAST_ADMIN_SCHEMA is not set to the published schema 2026-10, and none is beside the repository: only the \
             cut was validated against"
        );
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let schema = Schema::parse(text, "admin.graphql").unwrap_or_else(|error| panic!("{}", error.errors));
    for operation in Operation::ALL {
        validate(&Valid::assume_valid(schema.clone()), operation);
    }
}

#[test]
fn the_only_mutation_makes_a_webhook_subscription() {
    let schema = cut();
    let mut mutations = Vec::new();
    for operation in Operation::ALL {
        let document = validate(&schema, operation);
        for sent in document.operations.iter().filter(|sent| sent.operation_type != OperationType::Query) {
            mutations.extend(sent.root_fields(&document).map(|field| field.name.to_string()));
        }
    }
    assert_eq!(mutations, ["webhookSubscriptionCreate"]);
}

/// Every file of the mirror, but for tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            sources(&path, found);
        } else if !name.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn one_document_writes_upstream_and_no_code_can() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mirror"), &mut files);
    let (mut writing, mut methods) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        if name.ends_with(".graphql") {
            if name != "schema.graphql" && text.contains("mutation") {
                writing.push(name);
            }
            continue;
        }
        for line in text.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
            assert!(!line.contains("mutation"), "{}: {line}", file.display());
            if line.contains("Method::") && !line.contains("Method::GET") {
                methods.push((name.clone(), line.to_owned()));
            }
        }
    }
    assert_eq!(writing, ["webhook_subscription_create.graphql"]);
    // Recharge is asked by one function whose method is named by its caller.
    let [(file, line)] = &methods[..] else { panic!("one that writes, not {methods:?}") };
    assert!(file == "mod.rs" && line.contains("Method::POST") && line.contains(r#"path: "webhooks""#), "{line}");
}

#[test]
fn nothing_is_asked_about_persons() {
    const PERSONAL: [&str; 12] = [
        "email",
        "phone",
        "customer",
        "note",
        "tags",
        "firstName",
        "lastName",
        "displayName",
        "clientIp",
        "statusPageUrl",
        "trackingInfo",
        "address1",
    ];
    let schema = cut();
    for operation in Operation::ALL {
        let document = validate(&schema, operation);
        for field in document.operations.iter().flat_map(|sent| sent.all_fields(&document)) {
            let name = field.name.as_str();
            assert!(!PERSONAL.contains(&name) && !name.ends_with("Address"), "{}: {name}", operation.name());
        }
    }
}

#[test]
fn every_document_that_lives_here_is_an_operation_once() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/mirror/shopify/queries");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let expected: BTreeSet<_> =
        Operation::ALL.iter().map(|operation| format!("{}.graphql", operation.name())).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), expected);
    for (at, operation) in Operation::ALL.into_iter().enumerate() {
        assert_eq!(operation as usize, at);
    }
}

#[test]
fn lists_without_pages_are_asked_for_as_far_as_is_checked() {
    let document = Operation::OrdersByIds.document();
    for list in ["fulfillments", "refunds"] {
        assert!(document.contains(&format!("{list}(first: {})", super::read::LIST_MAX)));
    }
}
