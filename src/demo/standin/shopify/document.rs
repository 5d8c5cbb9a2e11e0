//! A request document, validated against the schema and flattened once: fragments are merged into the fields of the type
//! that they are about, so that answering is one walk.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use apollo_compiler::ast::{Argument, OperationType};
use apollo_compiler::executable::{self, Operation, Selection as Selected};
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Node, Schema};

use super::errors::{self, Failure};

/// The part of the Admin API's schema that the mirror uses.
const SCHEMA: &str = include_str!("../../../mirror/shopify/schema.graphql");

static PARSED: LazyLock<Result<Valid<Schema>, String>> =
    LazyLock::new(|| Schema::parse_and_validate(SCHEMA, "schema.graphql").map_err(|error| error.to_string()));

/// The schema, parsed.
pub(super) fn schema() -> Result<&'static Valid<Schema>, Failure> {
    PARSED.as_ref().map_err(|error| Failure::internal(error))
}

/// One operation, ready to be answered.
#[derive(Debug)]
pub(super) struct Prepared {
    /// Its name, or `anonymous`.
    pub name: String,
    /// Whether it writes.
    pub mutation: bool,
    /// As parsed; says which variables there are.
    pub operation: Node<Operation>,
    /// What it asks for.
    pub root: Selection,
}

/// What is asked of an object, by its type. One entry but for interfaces.
#[derive(Debug, Default)]
pub(super) struct Selection {
    by_type: Vec<(String, Vec<Field>)>,
}

/// A field that is asked for.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name in the answer, as JSON with a colon.
    pub key: String,
    /// Its name in the schema.
    pub name: String,
    /// Its type in the schema, without list and non-null.
    pub of: String,
    /// Whether it may not be null.
    pub required: bool,
    /// Its arguments.
    pub arguments: Vec<Node<Argument>>,
    /// What is asked of it; none for scalars.
    pub selection: Option<Selection>,
}

impl Field {
    /// Whether it is paged.
    pub(super) fn is_connection(&self) -> bool {
        self.of.ends_with("Connection")
    }
}

impl Selection {
    /// What is asked of an object of this type.
    pub(super) fn of(&self, kind: &str) -> &[Field] {
        self.by_type.iter().find(|(of, _)| of == kind).map_or(&[], |(_, fields)| fields)
    }

    /// What is asked, whatever the type.
    pub(super) fn all(&self) -> impl Iterator<Item = &[Field]> {
        self.by_type.iter().map(|(_, fields)| fields.as_slice())
    }
}

/// Documents that were asked before, by their text.
#[derive(Debug, Default)]
pub(super) struct Documents {
    known: Mutex<HashMap<String, Arc<Vec<Arc<Prepared>>>>>,
}

impl Documents {
    /// The operation of a document that is to be answered.
    pub(super) fn prepare(&self, text: &str, name: Option<&str>) -> Result<Arc<Prepared>, Failure> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(text).cloned();
        let operations = if let Some(known) = known {
            known
        } else {
            let prepared = Arc::new(parse(text)?);
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(text.to_owned()).or_insert(prepared))
        };
        let mut wanted = operations.iter().filter(|operation| name.is_none_or(|name| operation.name == name));
        match (wanted.next(), wanted.next()) {
            (Some(operation), None) => Ok(Arc::clone(operation)),
            (None, _) => Err(Failure::bad_request(format!("No operation named \"{}\"", name.unwrap_or_default()))),
            _ => Err(Failure::bad_request("An operation name is required".to_owned())),
        }
    }
}

fn parse(text: &str) -> Result<Vec<Arc<Prepared>>, Failure> {
    let schema = schema()?;
    let document = ExecutableDocument::parse_and_validate(schema, text, "request.graphql")
        .map_err(|invalid| errors::of_document(&invalid.errors))?;
    let flattening = Flattening { schema, document: &document };
    let prepared = document.operations.iter().map(|operation| {
        Ok(Arc::new(Prepared {
            name: operation.name.as_ref().map_or_else(|| "anonymous".to_owned(), ToString::to_string),
            mutation: operation.operation_type == OperationType::Mutation,
            root: flattening.selection(operation.selection_set.ty.as_str(), &[&operation.selection_set])?,
            operation: operation.clone(),
        }))
    });
    prepared.collect()
}

struct Flattening<'d> {
    schema: &'d Valid<Schema>,
    document: &'d ExecutableDocument,
}

impl<'d> Flattening<'d> {
    fn selection(&self, of: &str, sets: &[&'d executable::SelectionSet]) -> Result<Selection, Failure> {
        let types = match self.schema.types.get(of) {
            Some(ExtendedType::Interface(_)) => {
                let objects =
                    self.schema.types.iter().filter(|(name, kind)| {
                        matches!(kind, ExtendedType::Object(_)) && self.schema.is_subtype(of, name)
                    });
                objects.map(|(name, _)| name.to_string()).collect()
            }
            _ => vec![of.to_owned()],
        };
        let mut selection = Selection::default();
        for of in types {
            let mut found = Vec::new();
            for set in sets {
                self.gather(&of, set, &mut found)?;
            }
            let fields = found.into_iter().map(|(key, fields)| self.field(key, &fields)).collect::<Result<_, _>>()?;
            selection.by_type.push((of, fields));
        }
        Ok(selection)
    }

    /// Fields of one type by their name in the answer: the same name asked for twice is one field.
    fn gather(
        &self,
        of: &str,
        set: &'d executable::SelectionSet,
        found: &mut Vec<(&'d str, Vec<&'d executable::Field>)>,
    ) -> Result<(), Failure> {
        for selected in &set.selections {
            if !selected.directives().is_empty() {
                return Err(Failure::internal("the stand-in knows no directives"));
            }
            match selected {
                Selected::Field(field) => {
                    let key = field.response_key().as_str();
                    match found.iter_mut().find(|(known, _)| *known == key) {
                        Some((_, fields)) => fields.push(field),
                        None => found.push((key, vec![field])),
                    }
                }
                Selected::FragmentSpread(spread) => {
                    if let Some(fragment) = spread.fragment_def(self.document)
                        && self.applies(fragment.type_condition().as_str(), of)
                    {
                        self.gather(of, &fragment.selection_set, found)?;
                    }
                }
                Selected::InlineFragment(fragment) => {
                    if fragment.type_condition.as_ref().is_none_or(|condition| self.applies(condition.as_str(), of)) {
                        self.gather(of, &fragment.selection_set, found)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn applies(&self, condition: &str, of: &str) -> bool {
        condition == of || self.schema.is_subtype(condition, of)
    }

    fn field(&self, key: &str, fields: &[&'d executable::Field]) -> Result<Field, Failure> {
        let Some(first) = fields.first() else { return Err(Failure::internal("a field without a field")) };
        let of = first.ty().inner_named_type().as_str();
        let sets: Vec<&executable::SelectionSet> = fields.iter().map(|field| &field.selection_set).collect();
        let leaf = sets.iter().all(|set| set.selections.is_empty());
        Ok(Field {
            key: format!("\"{key}\":"),
            name: first.name.to_string(),
            of: of.to_owned(),
            required: first.ty().is_non_null(),
            arguments: first.arguments.clone(),
            selection: if leaf { None } else { Some(self.selection(of, &sets)?) },
        })
    }
}
