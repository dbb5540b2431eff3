//! Lists the types and traits of other crates in the public API of ours, from rustdoc's JSON.
//!
//! `external_types FOLDER LIST`: reads `FOLDER/postduif*.json`, and compares with the lines of `LIST`. Fails on what is
//! not listed, on lines that are true no more, and where there is nothing to read.

use std::{collections::BTreeSet, env, fs, path::Path, process::ExitCode};

use serde_json::Value;

type Error = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("external types: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Error> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [folder, list] = arguments.as_slice() else {
        return Err("give the folder of rustdoc's JSON and the list".into());
    };
    let found = found(Path::new(folder))?;
    let text = fs::read_to_string(list)?;
    let listed: BTreeSet<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    for line in found.difference(&listed) {
        eprintln!("new in the public API, not in {list}: {line}");
    }
    for line in listed.difference(&found) {
        eprintln!("in {list}, and no more in the public API: {line}");
    }
    Ok(found == listed)
}

/// One line for each: our crate, and the path of the other crate's item.
fn found(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let mut found = BTreeSet::new();
    let mut crates = 0;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_none_or(|extension| extension != "json")
            || !stem.starts_with("postduif")
        {
            continue;
        }
        crates += 1;
        let json: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let items = json["index"].as_object().ok_or("no index in the JSON")?;
        for item in items.values() {
            let is_generated = item["inner"]["impl"]["is_synthetic"] == true
                || !item["inner"]["impl"]["blanket_impl"].is_null();
            if item["crate_id"] == 0 && !is_generated {
                collect(&item["inner"], &json, &stem, &mut found);
            }
        }
    }
    if crates == 0 {
        return Err(format!("{} has no JSON of our crates", folder.display()).into());
    }
    Ok(found)
}

/// Collects what a part of an item names. Paths have an `id`, which stands for the item wherever it is exported.
fn collect(part: &Value, json: &Value, of: &str, found: &mut BTreeSet<String>) {
    match part {
        Value::Object(members) => {
            if members.contains_key("path")
                && let Some(id) = members.get("id")
            {
                let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                found
                    .extend(foreign(&json["paths"][&id], json).map(|path| format!("{of}: {path}")));
            }
            members
                .values()
                .for_each(|part| collect(part, json, of, found));
        }
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, json, of, found)),
        _ => {}
    }
}

/// The path of an item of a crate that is neither ours nor the standard library.
fn foreign(item: &Value, json: &Value) -> Option<String> {
    let id = item["crate_id"].as_u64().filter(|id| *id != 0)?;
    let name = json["external_crates"][id.to_string()]["name"].as_str()?;
    let is_known = ["alloc", "core", "std"].contains(&name) || name.starts_with("postduif");
    let path: Vec<_> = item["path"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    (!is_known).then(|| path.join("::"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_type_of_another_crate_is_found_wherever_it_stands() {
        let json = json!({
            "paths": {
                "1": {"crate_id": 7, "path": ["chrono", "DateTime"]},
                "2": {"crate_id": 8, "path": ["alloc", "string", "String"]},
                "3": {"crate_id": 9, "path": ["postduif_core", "Message"]},
            },
            "external_crates": {
                "7": {"name": "chrono"}, "8": {"name": "alloc"}, "9": {"name": "postduif_core"},
            },
        });
        let item = json!({"function": {"sig": {"inputs": [
            ["at", {"resolved_path": {"path": "Option", "id": 2, "args": {"angle_bracketed": {"args": [
                {"type": {"resolved_path": {"path": "DateTime", "id": 1, "args": null}}},
            ]}}}}],
            ["message", {"resolved_path": {"path": "Message", "id": 3, "args": null}}],
        ]}}});
        let mut found = BTreeSet::new();
        collect(&item, &json, "postduif_core", &mut found);
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["postduif_core: chrono::DateTime"]
        );
    }
}
