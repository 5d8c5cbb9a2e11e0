//! Real payloads, which live outside of the repository since they are other people's.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Every JSON document in the folder that `HOLDFAST_UPSTREAM_SAMPLES` names, or else in the folder of samples beside the
/// repository, with the name of its file. Says so where there is none.
pub(crate) fn samples() -> Option<Vec<(String, Value)>> {
    let Some(folder) = named_or_beside("HOLDFAST_UPSTREAM_SAMPLES", "samples") else {
        eprintln!(
            "HOLDFAST_UPSTREAM_SAMPLES names no folder of real payloads and there is none beside the repository: none was read"
        );
        return None;
    };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut samples = Vec::new();
    for file in files {
        let extension = file.extension().unwrap_or_default();
        if extension != "json" && extension != "jsonl" {
            continue;
        }
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        samples.push((name, documents.collect::<Result<_, _>>().unwrap()));
    }
    assert!(!samples.is_empty(), "the folder of samples holds none");
    Some(samples)
}

/// What a variable names, or else what is known by this name among the upstreams' files beside the repository.
pub(crate) fn named_or_beside(variable: &str, name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/upstreams").join(name);
    std::env::var_os(variable).map_or_else(|| Some(beside()).filter(|path| path.exists()), |path| Some(path.into()))
}

/// Whose reader a sample is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// An answer of the Admin API.
    Admin,
    /// What a webhook of Shopify carries.
    Webhook,
    /// An answer of Recharge.
    Recharge,
}

impl Room {
    /// By the name of its file, or else by what is in it: answers of the Admin API have data, or global ids.
    pub(crate) fn of(name: &str, sample: &Value) -> Self {
        if name.contains("recharge") {
            return Self::Recharge;
        }
        let mut found = Vec::new();
        objects(sample, &mut found);
        let global = |object: &&&Value| object["id"].as_str().is_some_and(|id| id.starts_with("gid://shopify/"));
        let admin = found.iter().any(|object| object["data"].is_object()) || found.iter().any(|of| global(&of));
        if admin { Self::Admin } else { Self::Webhook }
    }
}

/// Every object within a document, itself included.
pub(crate) fn objects<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.push(value);
            fields.values().for_each(|field| objects(field, found));
        }
        Value::Array(values) => values.iter().for_each(|value| objects(value, found)),
        _ => {}
    }
}

/// Adds what an object lacks, at any depth. What it has is left as it is, null too: only what was not asked for may be
/// made up.
pub(crate) fn fill(value: &mut Value, defaults: Value) {
    let (Value::Object(fields), Value::Object(defaults)) = (value, defaults) else { return };
    for (name, default) in defaults {
        match fields.get_mut(&name) {
            Some(there) => fill(there, default),
            None => drop(fields.insert(name, default)),
        }
    }
}
