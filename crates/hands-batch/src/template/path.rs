//! The parts of a path that a placeholder can ask for.
//!
//! The rules are those of GNU parallel's defaults, whose Perl is quoted beside each. Paths are
//! bytes, and a newline is a byte like any other (GNU parallel's `.*/` stops at one; that is not
//! imitated).

use std::borrow::Cow;

use memchr::memrchr;

use super::rules::Rule;

/// Which part of a value is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// `{}`: all of it.
    Whole,
    /// `{.}`: without the extension.
    NoExtension,
    /// `{/}`: the file name.
    Name,
    /// `{//}`: the folder.
    Folder,
    /// `{/.}`: the file name without the extension.
    Stem,
    /// As a user defined it.
    Rule(Rule),
}

impl Form {
    /// The part of `path` that this form asks for.
    pub(super) fn of(self, path: &[u8]) -> Cow<'_, [u8]> {
        Cow::Borrowed(match self {
            Self::Whole => path,
            Self::NoExtension => no_extension(path),
            Self::Name => name(path),
            Self::Folder => folder(path),
            Self::Stem => no_extension(name(path)),
            Self::Rule(rule) => return rule.apply(path),
        })
    }

    /// Bytes that `path` becomes, at most; an empty path has a folder of one byte, `.`.
    pub(super) fn cost(self, path: &[u8]) -> usize {
        match self {
            Self::Rule(rule) => rule.apply(path).len(),
            _ => path.len().max(1),
        }
    }
}

/// `s:\.[^/.]*$::`, so `.bashrc` becomes empty and a dot in a folder's name is left alone.
fn no_extension(path: &[u8]) -> &[u8] {
    match memrchr(b'.', path) {
        Some(dot) if !path[dot..].contains(&b'/') => &path[..dot],
        _ => path,
    }
}

/// `s:.*/::`, so a path that ends in a slash has an empty name.
fn name(path: &[u8]) -> &[u8] {
    memrchr(b'/', path).map_or(path, |slash| &path[slash + 1..])
}

/// `dirname` of Perl's `File::Basename`, which ignores slashes at the end as `dirname(1)` does.
fn folder(path: &[u8]) -> &[u8] {
    let Some(slash) = memrchr(b'/', path) else {
        return b".";
    };
    let above = without_slashes(&path[..=slash]);
    if slash + 1 < path.len() {
        return above;
    }
    match memrchr(b'/', above) {
        None => b".",
        Some(slash) => without_slashes(&above[..=slash]),
    }
}

/// Drops slashes at the end, but never the first byte: `/` is a folder.
fn without_slashes(mut path: &[u8]) -> &[u8] {
    while path.len() > 1 && path.ends_with(b"/") {
        path = &path[..path.len() - 1];
    }
    path
}

#[cfg(test)]
mod tests {
    use super::Form;

    /// Recorded from GNU parallel 20221122: path, `{.}`, `{/}`, `{//}`, `{/.}`.
    const GNU: &[[&str; 5]] = &[
        ["a.tar.gz", "a.tar", "a.tar.gz", ".", "a.tar"],
        ["dir.d/file", "dir.d/file", "file", "dir.d", "file"],
        [".bashrc", "", ".bashrc", ".", ""],
        ["a", "a", "a", ".", "a"],
        ["/a", "/a", "a", "/", "a"],
        ["/", "/", "", "/", ""],
        ["dir/.bashrc", "dir/", ".bashrc", "dir", ""],
        ["dir/", "dir/", "", ".", ""],
        ["dir.d/", "dir.d/", "", ".", ""],
        ["a.", "a", "a.", ".", "a"],
        [".", "", ".", ".", ""],
        ["..", ".", "..", ".", "."],
        ["x/..", "x/.", "..", "x", "."],
        ["a/b.c/", "a/b.c/", "", "a", ""],
        ["//x", "//x", "x", "/", "x"],
        ["", "", "", ".", ""],
        ["a//b.c", "a//b", "b.c", "a", "b"],
        ["./a.b", "./a", "a.b", ".", "a"],
        ["a.b c", "a", "a.b c", ".", "a"],
        ["dir.d//", "dir.d//", "", ".", ""],
        ["x//y/", "x//y/", "", "x", ""],
        ["//", "//", "", "/", ""],
    ];

    #[test]
    fn paths_are_taken_apart_as_gnu_parallel_does() {
        for [path, no_extension, name, folder, stem] in GNU {
            let of = |form: Form| String::from_utf8_lossy(&form.of(path.as_bytes())).into_owned();
            assert_eq!(of(Form::Whole), *path);
            assert_eq!(of(Form::NoExtension), *no_extension, "{{.}} of {path}");
            assert_eq!(of(Form::Name), *name, "{{/}} of {path}");
            assert_eq!(of(Form::Folder), *folder, "{{//}} of {path}");
            assert_eq!(of(Form::Stem), *stem, "{{/.}} of {path}");
        }
    }

    #[test]
    fn a_newline_in_a_folder_is_no_end() {
        assert_eq!(Form::Name.of(b"a\nb/c.d")[..], *b"c.d");
        assert_eq!(Form::Stem.of(b"a\nb/c\n.d\n")[..], *b"c\n");
    }
}
