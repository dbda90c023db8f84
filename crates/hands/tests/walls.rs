//! The walls of the house: a module uses only those below it, and files do not use each other in
//! circles.
//!
//! Read from the `use` lines and the paths in the sources, without the compiler. ARCHITECTURE.md
//! argues the circles that are left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The modules of the library, from the ground up: each may use those before it. Those of one line
/// do not use each other.
const ORDER: &[&[&str]] = &[
    &["machine", "primitive", "foreign", "fault", "sizing", "text"],
    &["context", "event"],
    &["sync"],
    &["thread"],
    &["queue"],
    &["task"],
    &["wire"],
    &["remote"],
    &["command"],
    &["process"],
    &["shared"],
    &["pool"],
    &["init"],
];

/// Circles of files that are left in all crates together.
const CIRCLES: usize = 3;

type File = Vec<String>;

/// All crates of the workspace, by their names, and where their sources are.
fn crates() -> BTreeMap<String, PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = fs::read_dir(own.parent().expect("a folder")).expect("a folder");
    let sources = folders.filter_map(|entry| {
        let entry = entry.expect("an entry");
        let name = entry.file_name().to_string_lossy().into_owned();
        Some((name, entry.path().join("src"))).filter(|(_, source)| source.is_dir())
    });
    sources.collect()
}

/// The source files of a crate, by the paths of their modules, without comments and tests.
fn files(root: &Path) -> BTreeMap<File, String> {
    fn walk(folder: &Path, module: &File, all: &mut BTreeMap<File, String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let is_root = ["mod", "lib", "main"].contains(&name.as_str());
            let mut own = module.clone();
            if !is_root {
                own.push(name.clone());
            }
            if path.is_dir() {
                walk(&path, &own, all);
            } else if path.extension().is_some_and(|end| end == "rs") && !is_test(&name) {
                let text = fs::read_to_string(&path).expect("a text");
                let text = text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .expect("a part");
                let lines = text
                    .lines()
                    .map(|line| line.split("//").next().unwrap_or_default());
                all.insert(own, lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    let mut all = BTreeMap::new();
    walk(root, &Vec::new(), &mut all);
    all
}

fn is_test(name: &str) -> bool {
    name.contains("test") || name == "model" || name == "hostile" || name == "simulation"
}

/// `a::{b, c::d}` as `a::b` and `a::c::d`.
fn expanded(tree: &str, prefix: &[String], all: &mut Vec<File>) {
    let tree = tree.trim();
    let words = |path: &str| -> File {
        let path = path.split(" as ").next().unwrap_or_default();
        let words = path.split("::").map(|word| word.trim().to_owned());
        words.filter(|word| !word.is_empty()).collect()
    };
    let Some((before, inside)) = tree.split_once('{') else {
        return all.push([prefix, &words(tree)].concat());
    };
    let prefix = [prefix, &words(before)].concat();
    let mut depth = 0;
    let inside = inside.trim_end().trim_end_matches('}');
    let separate = |letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    };
    for part in inside
        .split(separate)
        .filter(|part| !part.trim().is_empty())
    {
        // The brace that ends a part belongs to it.
        let closed = part.matches('{').count() > part.matches('}').count();
        expanded(
            &format!("{part}{}", if closed { "}" } else { "" }),
            &prefix,
            all,
        );
    }
}

/// Which file a path leads to, and the names behind it.
fn resolved(from: &File, path: &File, files: &BTreeMap<File, String>) -> Option<(File, File)> {
    let mut rest = path.as_slice();
    let mut at = from.clone();
    match rest.first()?.as_str() {
        "crate" => at.clear(),
        "self" => {}
        "super" => {
            while rest.first().is_some_and(|word| word == "super") {
                at.pop();
                rest = &rest[1..];
            }
            return Some(descend(at, rest, files));
        }
        _ => return None,
    }
    Some(descend(at, &rest[1..], files))
}

fn descend(mut at: File, mut rest: &[String], files: &BTreeMap<File, String>) -> (File, File) {
    while let Some(word) = rest.first() {
        let below = [at.as_slice(), std::slice::from_ref(word)].concat();
        if !files.contains_key(&below) {
            break;
        }
        at = below;
        rest = &rest[1..];
    }
    (at, rest.to_vec())
}

/// Where in a statement its `use` begins, if it is one.
fn begin_of_use(statement: &str) -> Option<usize> {
    statement.rfind("use ").filter(|&at| {
        let before = statement[..at].trim_end();
        before.is_empty() || before.ends_with(['}', ']', ')', '{']) || before.ends_with("pub")
    })
}

/// The statements that begin with `use`, each with whether it is `pub`.
fn uses(text: &str) -> Vec<(bool, String)> {
    let statements = text.split(';').filter_map(|statement| {
        let at = begin_of_use(statement)?;
        let before = statement[..at].lines().last().unwrap_or_default();
        let is_pub = before.trim_start().starts_with("pub");
        Some((is_pub, statement[at + 4..].to_owned()))
    });
    statements.collect()
}

/// The text without them.
fn others(text: &str) -> String {
    let statements = text.split(';');
    let left = statements.map(|statement| match begin_of_use(statement) {
        Some(at) => &statement[..at],
        None => statement,
    });
    left.collect::<Vec<_>>().join(";")
}

/// Who uses whom. What a module only passes on belongs to the file that it is from.
fn arrows(files: &BTreeMap<File, String>) -> BTreeMap<File, BTreeSet<File>> {
    let mut passed_on: BTreeMap<(File, String), File> = BTreeMap::new();
    let mut paths: Vec<(File, File)> = Vec::new();
    for (module, text) in files {
        for (is_pub, tree) in uses(text) {
            let mut all = Vec::new();
            expanded(&tree, &[], &mut all);
            for path in all {
                let target = resolved(module, &path, files);
                match target.filter(|(at, rest)| is_pub && at != module && !rest.is_empty()) {
                    Some((at, rest)) => {
                        passed_on.insert((module.clone(), rest[0].clone()), at);
                    }
                    None if !is_pub => paths.push((module.clone(), path)),
                    None => {}
                }
            }
        }
        let is_path = |letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':');
        let body = others(text);
        let words = body
            .split(is_path)
            .filter(|word| word.starts_with("crate::") || word.starts_with("super::"));
        let path = |word: &str| word.split("::").map(str::to_owned).collect();
        paths.extend(words.map(|word| (module.clone(), path(word))));
    }
    let mut arrows: BTreeMap<File, BTreeSet<File>> = BTreeMap::new();
    for (module, path) in paths {
        let Some((mut at, rest)) = resolved(&module, &path, files) else {
            continue;
        };
        while let Some(from) = rest
            .first()
            .and_then(|name| passed_on.get(&(at.clone(), name.clone())))
        {
            at = from.clone();
        }
        // `pub(in crate::a::b)` is no use of it.
        let is_above = module.starts_with(&at);
        if at != module && !at.is_empty() && !(is_above && rest.is_empty()) {
            arrows.entry(module).or_default().insert(at);
        }
    }
    arrows
}

/// All that can be come to from a file.
fn reached(from: &File, arrows: &BTreeMap<File, BTreeSet<File>>) -> BTreeSet<File> {
    let mut seen = BTreeSet::new();
    let mut left = vec![from.clone()];
    while let Some(file) = left.pop() {
        for next in arrows.get(&file).into_iter().flatten() {
            if seen.insert(next.clone()) {
                left.push(next.clone());
            }
        }
    }
    seen
}

#[test]
fn no_module_uses_one_above_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let arrows = arrows(&files(&root));
    let floor = |module: &File| {
        let name = module.first()?;
        let floor = ORDER
            .iter()
            .position(|floor| floor.contains(&name.as_str()));
        Some(floor.unwrap_or_else(|| panic!("`{name}` is not in the order")))
    };
    for (from, targets) in &arrows {
        for to in targets.iter().filter(|to| to.first() != from.first()) {
            let (Some(own), Some(other)) = (floor(from), floor(to)) else {
                continue;
            };
            assert!(
                own > other || own == 0,
                "`{}` uses `{}`",
                from.join("::"),
                to.join("::")
            );
        }
    }
}

#[test]
fn few_files_use_each_other_in_circles() {
    let mut circles = Vec::new();
    for (name, source) in crates() {
        let arrows = arrows(&files(&source));
        let mut known = BTreeSet::new();
        for file in arrows.keys() {
            let from_here = reached(file, &arrows);
            if from_here.contains(file) && !known.contains(file) {
                let back = |other: &&File| reached(other, &arrows).contains(file);
                let circle: Vec<File> = from_here.iter().filter(back).cloned().collect();
                known.extend(circle.iter().cloned());
                let names: Vec<String> = circle.iter().map(|file| file.join("/")).collect();
                circles.push(format!("{name}: {}", names.join(", ")));
            }
        }
    }
    assert!(circles.len() <= CIRCLES, "{circles:#?}");
}

#[test]
fn lines_of_comments_end_at_100_columns() {
    fn look(folder: &Path, long: &mut Vec<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                look(&path, long);
                continue;
            }
            if path.extension().is_none_or(|end| end != "rs") {
                continue;
            }
            let text = fs::read_to_string(&path).expect("a text");
            let mut is_code = false;
            for (number, line) in (1..).zip(text.lines()) {
                let Some(comment) = line.trim_start().strip_prefix("//") else {
                    is_code = false;
                    continue;
                };
                let said = comment.trim_start_matches(['/', '!']).trim_start();
                is_code ^= said.starts_with("```");
                // Tables, drawings and examples are as wide as they are.
                if line.chars().count() > 100 && !is_code && !said.starts_with('|') {
                    long.push(format!("{}:{number}", path.display()));
                }
            }
        }
    }
    let mut long = Vec::new();
    for source in crates().values() {
        look(source, &mut long);
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// Named twice on purpose: what several processes share is called as what threads share; and
/// the last two are empty without the feature `diagnose`.
const TWICE: &[&str] = &[
    "Barrier",
    "Condvar",
    "Event",
    "Semaphore",
    "LockMode",
    "LockNumber",
];

#[test]
fn no_two_types_have_one_name() {
    let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, source) in crates() {
        for (file, text) in files(&source) {
            for line in text.lines() {
                let mut words =
                    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
                // Only what stands at the left margin: others are of one function.
                if line.starts_with(' ') {
                    continue;
                }
                let is_type = |word: &&str| ["struct", "enum", "union", "trait"].contains(word);
                if words.by_ref().take(5).any(|word| is_type(&word))
                    && let Some(own) = words.next()
                {
                    let at = format!("{name}: {}", file.join("/"));
                    types.entry(own.to_owned()).or_default().push(at);
                }
            }
        }
    }
    // Under the model checker a primitive is another type.
    types.retain(|own, places| {
        places.dedup();
        places.len() > 1 && !TWICE.contains(&own.as_str())
    });
    assert!(types.is_empty(), "{types:#?}");
}
