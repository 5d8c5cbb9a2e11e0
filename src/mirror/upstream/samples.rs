//! Real payloads, which live outside of the repository since they are other people's.

use std::path::PathBuf;

use serde_json::Value;

/// Every JSON document in the folder that `HOLDFAST_UPSTREAM_SAMPLES` names, with the name of its file. Says so where
/// there is none.
pub(crate) fn samples() -> Option<Vec<(String, Value)>> {
    let Some(folder) = std::env::var_os("HOLDFAST_UPSTREAM_SAMPLES").map(PathBuf::from) else {
        eprintln!("HOLDFAST_UPSTREAM_SAMPLES is not set to a folder of real payloads: none was read");
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
    Some(samples)
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
