//! Which part may know which other part, checked against the sources: ARCHITECTURE.md, "One way".

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests is a folder of the project")
        .to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path} cannot be read: {error}"))
}

/// All files below a folder with one of these endings, as paths from the root.
fn files(folder: &str, endings: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if endings
                .iter()
                .any(|ending| path.to_string_lossy().ends_with(ending))
            {
                found.push(
                    path.strip_prefix(root())
                        .expect("below the root")
                        .to_string_lossy()
                        .into_owned(),
                );
            }
        }
    }
    assert!(!found.is_empty(), "nothing was found in {folder}: has it moved?");
    found.sort();
    found
}

/// The names of the packages that a Cargo.toml's [dependencies] hold.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let text = read(manifest);
    let section = text
        .split("\n[dependencies]\n")
        .nth(1)
        .expect("it has dependencies");
    section
        .lines()
        .take_while(|line| !line.starts_with("[dev") && !line.starts_with("[build"))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with(['#', '[']))
        .map(str::to_owned)
        .collect()
}

/// The modules of core that a file names, by `crate::` or by `use crate::{…}`.
fn modules_named(text: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for rest in text.split("crate::").skip(1) {
        let list = rest
            .strip_prefix('{')
            .map_or(rest, |list| list.split("};").next().unwrap_or(list));
        let names: Vec<&str> = if rest.starts_with('{') {
            list.split(',').collect()
        } else {
            vec![rest]
        };
        for name in names {
            let name: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '_')
                .collect();
            if !name.is_empty() {
                named.insert(name);
            }
        }
    }
    named
}

#[test]
fn crates_know_only_those_below_them() {
    for (manifest, may_know) in [
        ("src-tauri/crates/omemo/Cargo.toml", &[][..]),
        ("src-tauri/crates/stream/Cargo.toml", &[]),
        (
            "src-tauri/crates/core/Cargo.toml",
            &["waxwing-omemo", "waxwing-stream"],
        ),
        ("src-tauri/crates/headless/Cargo.toml", &["waxwing-core"]),
        ("src-tauri/Cargo.toml", &["waxwing-core"]),
    ] {
        for dependency in dependencies(manifest)
            .iter()
            .filter(|name| name.starts_with("waxwing"))
        {
            assert!(
                may_know.contains(&dependency.as_str()),
                "{manifest} must not know {dependency}"
            );
        }
    }
}

#[test]
fn only_the_shell_knows_tauri_and_only_core_knows_the_database() {
    for manifest in [
        "src-tauri/crates/omemo/Cargo.toml",
        "src-tauri/crates/stream/Cargo.toml",
        "src-tauri/crates/core/Cargo.toml",
        "src-tauri/crates/headless/Cargo.toml",
        "src-tauri/Cargo.toml",
    ] {
        let names = dependencies(manifest);
        let knows = |prefix: &str| names.iter().any(|name| name.starts_with(prefix));
        assert_eq!(
            knows("tauri"),
            manifest == "src-tauri/Cargo.toml",
            "tauri in {manifest}"
        );
        assert_eq!(
            knows("sqlx"),
            manifest == "src-tauri/crates/core/Cargo.toml",
            "sqlx in {manifest}"
        );
    }
    assert!(
        !dependencies("src-tauri/crates/omemo/Cargo.toml").contains("tokio"),
        "omemo does no input or output"
    );
}

#[test]
fn sql_stands_in_the_store_only() {
    for file in files("src-tauri/crates/core/src", &[".rs"]) {
        let has_sql = read(&file).contains("sqlx::query");
        assert!(
            !has_sql || file.contains("/src/store/"),
            "{file} has SQL of its own"
        );
    }
}

#[test]
fn modules_of_core_know_only_those_below_them() {
    let below: &[(&str, &[&str])] = &[
        ("fail", &[]),
        ("words", &[]),
        ("error", &["words"]),
        ("model", &["error", "words"]),
        ("secret", &["error"]),
        ("event", &["model"]),
        ("live", &["error", "model"]),
        ("console", &["event", "model"]),
        ("fetching", &["model"]),
        ("xep", &[]),
        ("verification", &["error", "model"]),
        ("profile", &["error", "secret"]),
        ("rollback", &["error", "model", "profile", "secret", "store"]),
        ("launch", &["error", "profile", "secret"]),
        ("request", &["model", "secret"]),
        ("inbound", &["error", "model", "xep"]),
        ("store", &["error", "model", "secret"]),
        ("notices", &["error", "event", "model", "store"]),
        (
            "publish",
            &["error", "event", "fetching", "live", "model", "notices", "store"],
        ),
        (
            "account",
            &[
                "error", "event", "fail", "inbound", "live", "model", "notices", "publish", "secret",
                "store", "xep",
            ],
        ),
        (
            "files",
            &[
                "account", "error", "fetching", "model", "profile", "publish", "secret", "store", "xep",
            ],
        ),
        (
            "actions",
            &[
                "account",
                "error",
                "event",
                "fail",
                "fetching",
                "files",
                "live",
                "model",
                "notices",
                "publish",
                "request",
                "secret",
                "store",
                "verification",
            ],
        ),
        ("wake", &["account"]),
        ("api", &["actions", "error", "model", "request", "secret"]),
    ];
    let all: BTreeSet<&str> = below.iter().map(|(module, _)| *module).collect();
    for file in files("src-tauri/crates/core/src", &[".rs"]) {
        let path = file
            .strip_prefix("src-tauri/crates/core/src/")
            .expect("a file of core");
        let module = path.split(['/', '.']).next().expect("a first part");
        if ["lib", "bindings"].contains(&module) {
            continue;
        }
        let (_, may_know) = below.iter().find(|(name, _)| *name == module).unwrap_or_else(|| {
            panic!("{module} is new: say in this test and in ARCHITECTURE.md where it stands")
        });
        for named in modules_named(&read(&file)) {
            let fine = named == module || may_know.contains(&named.as_str()) || !all.contains(named.as_str());
            assert!(fine, "{file} must not know {named}");
        }
    }
}

#[test]
fn only_the_bridge_of_the_window_knows_tauri() {
    for file in files("ui/src", &[".ts", ".svelte"]) {
        let knows = read(&file).contains("@tauri-apps");
        assert!(
            !knows || file == "ui/src/core/bridge.ts",
            "{file} reaches around the bridge"
        );
    }
}

#[test]
fn colours_stand_in_the_tokens_only() {
    for file in files("ui/src", &[".svelte", ".css"]) {
        if file == "ui/src/styles/tokens.css" {
            continue;
        }
        for line in read(&file).lines() {
            let literal = ["rgb(", "rgba(", "hsl(", "oklch("]
                .iter()
                .any(|name| line.contains(name))
                || line.split('#').skip(1).any(|rest| {
                    line.contains(':')
                        && line.trim_end().ends_with(';')
                        && rest.chars().take_while(char::is_ascii_hexdigit).count() >= 3
                });
            assert!(!literal, "{file} has a colour of its own: {line}");
        }
    }
}

#[test]
fn no_part_allows_unsafe_code() {
    assert!(read("Cargo.toml").contains("unsafe_code = \"forbid\""));
    for manifest in files("src-tauri", &["Cargo.toml"]) {
        assert!(
            read(&manifest).contains("[lints]\nworkspace = true"),
            "{manifest} leaves the common lints"
        );
    }
}
