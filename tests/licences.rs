//! No source that is built with ours is under the GPL or the AGPL, whatever its package says of itself: the heads of the
//! files are looked at. What the packages say is checked by cargo-deny (`deny.toml`).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use waxwing_tests::{items, root};

/// A notice stands within so many bytes of the beginning.
const HEAD: u64 = 4096;

/// What such notices say.
const NOTICES: [&str; 6] = [
    "GNU General Public License",
    "GNU Affero General Public License",
    "GNU AFFERO GENERAL PUBLIC LICENSE",
    "GNU GENERAL PUBLIC LICENSE",
    " GPL",
    "AGPL",
];

/// Endings of what is compiled, or makes what is compiled, or runs.
const SOURCES: [&str; 18] = [
    "rs", "c", "h", "cc", "cpp", "hpp", "cxx", "m", "mm", "s", "S", "asm", "pl", "pm", "py", "js", "ts", "in",
];

/// What may be there, by package and folder, and why.
const KNOWN: [(&str, &str); 4] = [
    // D-Bus is under the Academic Free License or the GPL, as one likes; the system's is used and this one not built.
    ("libdbus-sys", "vendor/dbus"),
    // Under the GPL or MIT; a module for Linux in the tests, which are not built.
    ("nix", "test/test_kmod"),
    // Under OpenSSL's licence; the author permits the use under the GPL besides.
    ("openssl-src", "openssl/crypto/sha/asm"),
    // Under Perl's licence, which is the GPL or the Artistic one; it writes files when OpenSSL is built.
    ("openssl-src", "openssl/external/perl"),
];

/// Whether the head of a file puts it under the GPL or the AGPL.
fn is_refused(head: &str) -> bool {
    // MPL 2.0 names those that it can be combined with.
    let head = head.replace("Secondary License", "\0");
    let may_be_combined = head.contains('\0');
    !may_be_combined && NOTICES.iter().any(|notice| head.contains(notice))
}

/// A source, or a text of a licence.
fn is_looked_at(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let licence = ["LICEN", "COPYING", "UNLICENSE"];
    ending.is_some_and(|ending| SOURCES.contains(&ending))
        || licence.iter().any(|word| name.starts_with(word))
}

fn head(path: &Path) -> String {
    let mut head = Vec::new();
    let file = File::open(path).unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
    file.take(HEAD)
        .read_to_end(&mut head)
        .expect("a file can be read");
    String::from_utf8_lossy(&head).into_owned()
}

/// All files below a folder that are looked at.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder can be read").flatten() {
            let (path, kind) = (entry.path(), entry.file_type().expect("a file's type"));
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && is_looked_at(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn output(command: &mut Command) -> String {
    let done = command.current_dir(root()).output().expect("it can be started");
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?} failed: {errors}");
    String::from_utf8(done.stdout).expect("UTF-8")
}

/// Name and folder of each package of others that is built on this system, for the program or for its tests.
fn packages() -> Vec<(String, PathBuf)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let version = output(Command::new("rustc").arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.expect("rustc names its host");
    let metadata = output(Command::new(cargo).args([
        "metadata",
        "--locked",
        "--offline",
        "--format-version=1",
        "--filter-platform",
        host,
    ]));
    let metadata: Value = serde_json::from_str(&metadata).expect("JSON");
    let built: BTreeSet<&str> = items(&metadata["resolve"]["nodes"])
        .iter()
        .filter_map(|node| node["id"].as_str())
        .collect();
    let of_others = items(&metadata["packages"]).iter().filter(|package| {
        let id = package["id"].as_str().unwrap_or_default();
        built.contains(id) && !package["source"].is_null()
    });
    of_others
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
            let name = package["name"].as_str().expect("a name").to_owned();
            (name, manifest.parent().expect("its folder").to_owned())
        })
        .collect()
}

#[test]
fn notices_of_the_gpl_are_told_from_others() {
    for (head, refused) in [
        (
            "// Copyright 2020 Signal Messenger, LLC.\n// SPDX-License-Identifier: AGPL-3.0-only",
            true,
        ),
        (
            "/* it under the terms of the GNU General Public License as published by */",
            true,
        ),
        ("#  SPDX-License-Identifier: GPL-2.0+", true),
        (
            "                    GNU AFFERO GENERAL PUBLIC LICENSE\n   Version 3",
            true,
        ),
        (
            "/* under the terms of the GNU Lesser General Public License */",
            false,
        ),
        ("// SPDX-License-Identifier: LGPL-2.1-or-later", false),
        (
            "1.12. \"Secondary License\"\n means either the GNU General Public License, Version 2.0,",
            false,
        ),
        ("// Licensed under the MIT license", false),
    ] {
        assert_eq!(is_refused(head), refused, "{head}");
    }
}

#[test]
fn no_source_that_is_built_with_ours_says_that_it_is_under_the_gpl() {
    let packages = packages();
    assert!(packages.len() > 300, "only {} packages", packages.len());
    let (mut looked_at, mut known, mut refused) = (0, BTreeSet::new(), Vec::new());
    for (name, folder) in &packages {
        for file in files(folder) {
            looked_at += 1;
            if !is_refused(&head(&file)) {
                continue;
            }
            let path = file.strip_prefix(folder).expect("below the folder");
            match KNOWN
                .iter()
                .find(|(of, under)| of == name && path.starts_with(under))
            {
                Some(place) => {
                    known.insert(*place);
                }
                None => refused.push(format!("{name}: {}", path.display())),
            }
        }
    }
    assert!(looked_at > 10_000, "only {looked_at} files");
    assert!(
        refused.is_empty(),
        "under the GPL or the AGPL:\n{}",
        refused.join("\n")
    );
    if cfg!(target_os = "linux") {
        assert_eq!(known, KNOWN.into(), "what is known is not there any more");
    }
}
