use std::{collections::HashMap, process::Command};

use serde_json::Value;

/// The minimum Rust version as (minor, patch); all are Rust 1.
fn rust_version(package: &Value) -> Option<(u32, u32)> {
    let mut numbers = package["rust_version"]
        .as_str()?
        .split('.')
        .map(|number| number.parse().unwrap());
    assert_eq!(numbers.next(), Some(1));
    Some((numbers.next().unwrap(), numbers.next().unwrap_or(0)))
}

/// The platform of this machine: a build downloads the crates of no other.
fn host() -> String {
    let output = Command::new(env!("CARGO")).arg("-vV").output().unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .expect("cargo says what its host is")
        .to_owned()
}

#[test]
fn no_crate_claims_an_older_rust_than_its_dependencies_need() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--all-features",
            "--offline",
            "--filter-platform",
            &host(),
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: HashMap<&str, &Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package))
        .collect();
    let nodes: HashMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();

    let members = metadata["workspace_members"].as_array().unwrap();
    // A feature may need a newer Rust than its crate: that of the crate of ours that it brings, which states its own.
    let is_feature = |package: &str, dependency: &str| {
        let name = &packages[dependency]["name"];
        let declared = packages[package]["dependencies"].as_array().unwrap();
        let mut declared = declared.iter().filter(|known| known["name"] == *name);
        members.iter().any(|member| *member == dependency)
            && declared.all(|known| known["optional"] == true || !known["kind"].is_null())
    };

    let mut wrong = Vec::new();
    for member in members {
        let member = member.as_str().unwrap();
        let claimed =
            rust_version(packages[member]).expect("every crate of ours states its Rust version");
        // All that its users compile here: normal edges.
        let (mut seen, mut open) = (vec![member], vec![member]);
        while let Some(package) = open.pop() {
            for dependency in nodes[package]["deps"].as_array().unwrap() {
                let normal = dependency["dep_kinds"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|kind| kind["kind"].is_null());
                let id = dependency["pkg"].as_str().unwrap();
                if normal && !seen.contains(&id) && !is_feature(package, id) {
                    seen.push(id);
                    open.push(id);
                }
            }
        }
        for id in seen {
            if let Some(needed) = rust_version(packages[id]).filter(|needed| *needed > claimed) {
                wrong.push(format!(
                    "{} claims 1.{} but {} needs 1.{}",
                    packages[member]["name"], claimed.0, packages[id]["name"], needed.0
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
