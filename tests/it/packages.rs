use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Every package that is published, as its manifest has it.
fn published() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let Value::Array(mut packages) = metadata["packages"].take() else {
        panic!("cargo names no packages");
    };
    packages.retain(|package| package["publish"] != serde_json::json!([]));
    assert!(packages.len() >= 16, "{} packages", packages.len());
    packages
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

fn folder(package: &Value) -> PathBuf {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    manifest.parent().unwrap().to_owned()
}

fn words<'a>(package: &'a Value, field: &str) -> BTreeSet<&'a str> {
    let list = package[field].as_array().into_iter().flatten();
    list.map(|word| word.as_str().unwrap()).collect()
}

#[test]
fn every_package_carries_both_licences() {
    for package in published() {
        assert_eq!(package["license"], "MIT OR Apache-2.0");
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let there = fs::read(folder(&package).join(licence)).ok();
            let ours = fs::read(Path::new(ROOT).join(licence)).unwrap();
            assert!(there == Some(ours), "{} lacks {licence}", name(&package));
        }
    }
}

#[test]
fn every_package_has_a_front_page_of_its_own() {
    for package in published() {
        let name = name(&package);
        let readme = package["readme"].as_str().unwrap_or_default();
        let text = fs::read_to_string(folder(&package).join(readme)).unwrap_or_default();
        let title = match name {
            "postduif" => "# Postduif\n".to_owned(),
            name => format!("# {name}\n"),
        };
        assert!(text.starts_with(&title), "{name} has no README of its own");
        for part in ["\n## Licence\n", "MIT or Apache-2.0"] {
            assert!(text.contains(part), "{name}: its README has no {part:?}");
        }
    }
}

#[test]
fn every_package_says_what_it_is_in_words_of_its_own() {
    let packages = published();
    for package in &packages {
        let name = name(package);
        let description = package["description"].as_str().unwrap_or_default();
        assert!((40..=200).contains(&description.len()), "{name}");
        let keywords = words(package, "keywords");
        assert!((3..=5).contains(&keywords.len()), "{name}: {keywords:?}");
        for keyword in &keywords {
            let is_plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(
                keyword.len() <= 20 && keyword.bytes().all(is_plain),
                "{name}: the registry refuses {keyword}"
            );
        }
        assert!(!words(package, "categories").is_empty(), "{name}");
        let alike = |other: &&Value| {
            words(other, "keywords") == keywords || other["description"] == description
        };
        assert_eq!(packages.iter().filter(alike).count(), 1, "{name}");
    }
}

#[test]
fn every_package_is_documented_with_all_its_features() {
    for package in published() {
        let docs = &package["metadata"]["docs"]["rs"];
        assert_eq!(docs["all-features"], true, "{}", name(&package));
    }
}

/// The text of a file of the workspace.
fn text(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

#[test]
fn every_vendor_is_named_wherever_vendors_are_listed() {
    let mut vendors: Vec<String> = fs::read_dir(Path::new(ROOT).join("crates/providers"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    vendors.sort();
    assert!(vendors.len() >= 6, "{vendors:?}");
    let sandbox: Vec<_> = postduif_sandbox::Sandbox::vendors().collect();
    for vendor in &vendors {
        let quoted = format!("\"{vendor}\"");
        for (path, what) in [
            ("Cargo.toml", format!("postduif-{vendor} = ")),
            ("crates/postduif/Cargo.toml", format!("\n{vendor} = [")),
            (
                "crates/postduif/src/lib.rs",
                format!("{quoted} => postduif_{vendor} as {vendor}::"),
            ),
            ("crates/postduif/tests/it/features.rs", quoted.clone()),
            (
                "crates/postduif/tests/it/readme.rs",
                format!("\"{vendor}://"),
            ),
            ("examples/Cargo.toml", format!("\n{vendor} = [")),
            (
                "examples/Cargo.toml",
                "\nall-providers = [\"postduif/all-providers\"]".to_owned(),
            ),
            ("README.md", format!("`{vendor}`")),
            ("CHANGELOG.md", format!("`postduif-{vendor}`")),
        ] {
            assert!(text(path).contains(&what), "{path} lacks {vendor}");
        }
        let manifest = text("crates/postduif/Cargo.toml");
        let all = manifest
            .lines()
            .find(|line| line.starts_with("all-providers"));
        assert!(
            all.unwrap().contains(&quoted),
            "all-providers lacks {vendor}"
        );
        assert!(
            sandbox.contains(&vendor.as_str()),
            "the sandbox lacks {vendor}"
        );
    }
}
