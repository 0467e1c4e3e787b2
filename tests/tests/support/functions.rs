//! The names of all functions of the packages, for tables that name tests.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// All files of Rust below a directory, but for what was built.
fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every function of the packages but the fuzz targets.
pub(crate) fn functions() -> BTreeSet<String> {
    let mut files = Vec::new();
    for package in ["core", "io-std", "io-tokio", "tests"] {
        sources(&root().join(package), &mut files);
    }
    let mut functions = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        for rest in text.split("fn ").skip(1) {
            let name = rest.split(|c: char| c != '_' && !c.is_ascii_alphanumeric());
            functions.extend(name.into_iter().next().map(str::to_owned));
        }
    }
    functions
}
