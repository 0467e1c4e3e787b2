//! The direction of imports inside the core:
//! `base ← wire ← mux ← proto ← conn ← manager ← peer_actions ← node`, and `chain` knows `base`, `wire` and `proto` only.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Who may name whom. A module that is not here has no place in the design yet.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("wire", &["base"]),
    ("mux", &["base", "wire"]),
    ("proto", &["base", "wire", "mux"]),
    ("chain", &["base", "wire", "proto"]),
    ("conn", &["base", "wire", "mux", "proto", "chain"]),
    ("governor", &["base", "proto"]),
    ("rain", &["base", "wire", "proto"]),
    ("manager", &["base", "proto", "conn"]),
    ("peer_actions", &["base", "mux", "proto", "conn", "manager"]),
    (
        "node",
        &[
            "base",
            "wire",
            "mux",
            "proto",
            "chain",
            "conn",
            "governor",
            "manager",
            "peer_actions",
            "rain",
        ],
    ),
    (
        "tape",
        &["base", "wire", "mux", "proto", "chain", "conn", "node"],
    ),
];

#[test]
fn core_modules_name_only_those_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/src");
    let mut files = Vec::new();
    rust_files(&root, &mut files);
    files.sort();
    let (mut broken, mut named) = (Vec::new(), 0);
    for file in &files {
        let inside = module_of(file.strip_prefix(&root).unwrap());
        let source = fs::read_to_string(file).unwrap();
        let found = check(&inside, &source).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        named += found.named;
        broken.extend(
            found
                .broken
                .into_iter()
                .map(|line| format!("{}: {line}", file.display())),
        );
    }
    let _ = writeln!(
        io::stderr(),
        "imports: {named} names of other modules in {} files of core",
        files.len()
    );
    assert!(named >= 50, "only {named} names seen: the scan is blind");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_planted_violation_is_found_in_each_way_of_writing_it() {
    let planted = [
        ("use crate::node::Event;", "wire"),
        ("use crate::{base::Instant, conn::{Fact}};", "mux"),
        ("use crate::conn as c;", "chain"),
        ("fn f(x: crate::mux::HalfId) {}", "wire"),
        ("fn f() { let _ = crate::proto::Fault::class; }", "mux"),
        ("use super::node::Event;", "base"),
        ("mod inner { use super::super::chain::Verdict; }", "proto"),
        (
            "macro_rules! m { () => { $crate::conn::Fault::Idle } }",
            "proto",
        ),
        ("fn f() { vec![crate::node::Event::Tick]; }", "conn"),
        (
            "fn f() -> impl Iterator<Item = crate::wire::Encoded> { None.into_iter() }",
            "base",
        ),
        ("use crate::nowhere::X;", "node"),
    ];
    for (source, inside) in planted {
        let found = check(&[inside.into()], source).unwrap();
        assert_eq!(found.broken.len(), 1, "{inside}: {source}");
    }
}

#[test]
fn names_that_follow_the_direction_pass() {
    let fine = [
        ("use crate::base::Instant; use super::base::Serial;", "wire"),
        (
            "mod tests { use super::inner::Event; use self::x::Y; }",
            "mux",
        ),
        (
            "use alloc::vec::Vec; use core::fmt; use bytes::Bytes;",
            "base",
        ),
        ("use crate::{base, chain, conn, mux, proto, wire};", "node"),
        ("/// [`crate::node::Event`]\nfn f() {}", "base"),
    ];
    for (source, inside) in fine {
        assert_eq!(
            check(&[inside.into()], source).unwrap().broken,
            Vec::<String>::new()
        );
    }
}

/// What a scan found.
struct Found {
    /// Names of other top-level modules.
    named: usize,
    /// Names against the direction.
    broken: Vec<String>,
}

/// Scans one file that stands at the module path `inside` (empty for the crate root).
fn check(inside: &[String], source: &str) -> syn::Result<Found> {
    let file = syn::parse_file(source)?;
    let mut scan = Scan {
        at: inside.to_vec(),
        named: Vec::new(),
    };
    scan.visit_file(&file);
    let Some(top) = inside.first() else {
        return Ok(Found {
            named: 0,
            broken: Vec::new(),
        });
    };
    let allowed: BTreeSet<&str> = MAY_NAME
        .iter()
        .find(|(module, _)| module == top)
        .map(|(_, below)| below.iter().copied().collect())
        .unwrap_or_default();
    let others: Vec<_> = scan.named.iter().filter(|name| *name != top).collect();
    Ok(Found {
        named: others.len(),
        broken: others
            .iter()
            .filter(|name| !allowed.contains(name.as_str()))
            .map(|name| format!("{top} names {name}"))
            .collect(),
    })
}

/// Collects the top-level modules that paths lead to.
struct Scan {
    at: Vec<String>,
    named: Vec<String>,
}

impl Scan {
    /// Follows a path from the module where it stands; records the top-level module it enters.
    fn follow(&mut self, path: &[String]) {
        let mut here: Option<Vec<String>> = None;
        for segment in path {
            let at = match (segment.as_str(), here.take()) {
                ("crate", None) => Vec::new(),
                ("self", None) => self.at.clone(),
                ("super", at) => {
                    let mut at = at.unwrap_or_else(|| self.at.clone());
                    at.pop();
                    at
                }
                (_, None) => return,
                (name, Some(mut at)) => {
                    at.push(name.to_owned());
                    self.named.extend(at.first().cloned());
                    return;
                }
            };
            here = Some(at);
        }
    }

    fn follow_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| {
            let mut path = before.to_vec();
            path.push(ident.to_string());
            path
        };
        match tree {
            syn::UseTree::Path(path) => self.follow_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.follow(&with(&name.ident)),
            syn::UseTree::Rename(name) => self.follow(&with(&name.ident)),
            syn::UseTree::Glob(_) => self.follow(before),
            syn::UseTree::Group(group) => {
                for item in &group.items {
                    self.follow_tree(before, item);
                }
            }
        }
    }

    /// Macros are not parsed: any `crate::name` or `super::name` in their tokens counts.
    fn follow_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 || path.is_empty() => {
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.follow(&path);
                    path.clear();
                    colons = 0;
                    match other {
                        TokenTree::Group(group) => self.follow_tokens(group.stream()),
                        TokenTree::Ident(ident) => path.push(ident.to_string()),
                        TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.follow(&path);
    }
}

impl<'ast> Visit<'ast> for Scan {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        self.at.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.at.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.follow_tree(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.follow(&names);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.follow_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

/// `mux/ingress.rs` is `["mux", "ingress"]`, `mux/mod.rs` is `["mux"]`, `lib.rs` is `[]`.
fn module_of(relative: &Path) -> Vec<String> {
    relative
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .filter(|part| part != "mod" && part != "lib")
        .collect()
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            into.push(path);
        }
    }
}
