//! What a download is called on the disk.
//!
//! A name may come from a URL, and so from the author of the list, or from a server's header.
//! Whatever it says, what [`safe`] makes of it is one component, without control characters, not
//! hidden, not a device on some system, and none of the names we use ourselves.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

use hands::text::is_deceptive;
use reqwest::Url;

/// What comes behind a name while it is not whole, and behind that for what is known of it; and
/// what is kept of a file that is not what it should be.
pub(crate) const PART: &str = "part";
pub(crate) const STATE: &str = "part.state";
pub(crate) const BAD: &str = "bad";

/// Bytes of a name that file systems allow.
const MOST: usize = 255;

/// Bytes of a name that we make: with what we put behind it, too, it is allowed.
const LONGEST: usize = MOST - ".part.state".len() - ".9999".len();

/// A name that is safe in any folder, out of any text.
pub(crate) fn safe(text: &str) -> String {
    // Those that join letters are not seen, either: of two names that look the same one is taken.
    let odd = |c: char| is_deceptive(c) || "\u{200c}\u{200d}/\\<>:\"|?*".contains(c);
    let clean: String = text.chars().map(|c| if odd(c) { '_' } else { c }).collect();
    let clean = clean.trim_end_matches([' ', '.']).trim_start();
    let mut name = match clean.strip_prefix('.') {
        // Not a hidden file, in which a program may look for its settings.
        Some(rest) => format!("_{rest}"),
        None => clean.to_owned(),
    };
    if name.is_empty() {
        return "index.html".to_owned();
    }
    if is_device(&name) || is_ours(&name) {
        name.insert(0, '_');
    }
    if is_ours(&name) {
        name.push('_');
    }
    shortened(name)
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_ascii_uppercase();
    let numbered = |port: &str| {
        let number = stem.strip_prefix(port);
        number.is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']))
    };
    ["CON", "PRN", "AUX", "NUL"].contains(&stem.as_str()) || numbered("COM") || numbered("LPT")
}

fn is_ours(name: &str) -> bool {
    [PART, STATE, BAD].iter().any(|ending| {
        let stem = name.strip_suffix(ending);
        stem.is_some_and(|stem| stem.ends_with('.'))
    })
}

/// Cuts the middle out of one that is too long: its extension stays.
fn shortened(name: String) -> String {
    if name.len() <= LONGEST {
        return name;
    }
    let extension = name.rfind('.').map_or("", |at| &name[at..]);
    let extension = if extension.len() <= 20 { extension } else { "" };
    let mut end = LONGEST - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &name[..end])
}

/// What a URL calls it: the last part of its path, decoded. `None`: it has none.
pub(crate) fn of_url(url: &Url) -> Option<String> {
    let last = url.path_segments()?.next_back()?;
    (!last.is_empty()).then(|| safe(&decoded(last)))
}

/// Percent signs decoded, if what comes out is text.
fn decoded(text: &str) -> String {
    let bytes = percent_decoded(text.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if let (b'%', Some(high), Some(low)) = (text[at], digit(at + 1), digit(at + 2)) {
            // Two digits are less than 256.
            bytes.push((16 * high + low) as u8);
            at += 3;
        } else {
            bytes.push(text[at]);
            at += 1;
        }
    }
    bytes
}

/// What a `Content-Disposition` calls it (RFC 6266): `filename*` before `filename`.
pub(crate) fn of_disposition(header: &[u8]) -> Option<String> {
    let header = String::from_utf8_lossy(header);
    let mut plain = None;
    for (name, value) in parameters(&header) {
        if name.eq_ignore_ascii_case("filename*") {
            // RFC 8187: charset'language'value.
            let mut parts = value.splitn(3, '\'');
            let (charset, _, value) = (parts.next()?, parts.next(), parts.next());
            let Some(value) = value else { continue };
            let bytes = percent_decoded(value.as_bytes());
            let text = match charset.to_ascii_lowercase().as_str() {
                "utf-8" => String::from_utf8(bytes).ok(),
                "iso-8859-1" => Some(bytes.iter().map(|&byte| char::from(byte)).collect()),
                _ => None,
            };
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                return Some(safe(last_component(&text)));
            }
        } else if name.eq_ignore_ascii_case("filename") && !value.is_empty() {
            plain.get_or_insert(value);
        }
    }
    plain.map(|value| safe(last_component(&value)))
}

/// Servers say whole paths; only the end of one is a name.
fn last_component(text: &str) -> &str {
    text.rsplit(['/', '\\']).next().unwrap_or_default()
}

/// The parameters behind the first semicolon, with their quotes off.
fn parameters(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = header.split_once(';').map_or("", |(_, rest)| rest);
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([' ', '\t', ';']).to_owned();
        let after = after.trim_start();
        let mut value = String::new();
        if let Some(quoted) = after.strip_prefix('"') {
            let mut letters = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, letter)) = letters.next() {
                match letter {
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
                    letter => value.push(letter),
                }
            }
            rest = &quoted[end..];
        } else {
            let (bare, after) = after.split_once(';').unwrap_or((after, ""));
            value.push_str(bare.trim());
            rest = after;
        }
        found.push((name, value));
    }
    found
}

/// A path that a list asks for, if it stays where downloads go.
pub(crate) fn within(path: &str) -> Result<PathBuf, String> {
    let path = Path::new(path);
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            _ => {
                return Err(format!(
                    "`{}` leads out of the folder for downloads; name a path below it",
                    path.display()
                ));
            }
        }
    }
    let name = clean.file_name().and_then(|name| name.to_str());
    match name {
        None => Err(format!("`{}` is no name of a file", path.display())),
        Some(name) if name.chars().any(char::is_control) || name.len() > MOST || is_ours(name) => {
            Err(format!(
                "`{}` cannot be the name of a download",
                path.display()
            ))
        }
        Some(_) => Ok(clean),
    }
}

/// A folder that a list asks for, if it is in the one where downloads go.
pub(crate) fn folder(base: &Path, dir: &str) -> Result<PathBuf, String> {
    let path = Path::new(dir);
    let leads_out = || {
        format!(
            "`dir={dir}` leads out of the folder for downloads; name one below it, or a higher one with --dir"
        )
    };
    let below = match path.is_absolute() {
        true => path.strip_prefix(base).map_err(|_| leads_out())?,
        false => path,
    };
    let is_plain = |component| matches!(component, Component::Normal(_) | Component::CurDir);
    if dir.chars().any(char::is_control) || !below.components().all(is_plain) {
        return Err(leads_out());
    }
    Ok(base.join(below))
}

/// Which names of a run have been given away.
#[derive(Debug, Default)]
pub(crate) struct TakenNames(HashSet<PathBuf>);

impl TakenNames {
    /// This one if it is free, else with a number behind it: `page.html`, `page.html.1`.
    pub(crate) fn claim(&mut self, wanted: PathBuf) -> PathBuf {
        self.claim_if(wanted, |_| true)
    }

    /// The first of `page.html`, `page.html.1`, … that is free, and that `is_good` agrees to.
    pub(crate) fn claim_if(&mut self, wanted: PathBuf, is_good: impl Fn(&Path) -> bool) -> PathBuf {
        for number in 0_u64.. {
            let path = numbered(&wanted, number);
            if is_good(&path) && self.take(&path) {
                return path;
            }
        }
        unreachable!("there are more numbers than files")
    }

    /// Whether it was free; from now on it is not.
    pub(crate) fn take(&mut self, path: &Path) -> bool {
        // Some file systems do not tell `A` from `a`.
        let known = PathBuf::from(path.to_string_lossy().to_lowercase());
        self.0.insert(known)
    }
}

/// `page.html`, `page.html.1`, `page.html.2`.
pub(crate) fn numbered(wanted: &Path, number: u64) -> PathBuf {
    let mut path = wanted.as_os_str().to_owned();
    if number > 0 {
        path.push(format!(".{number}"));
    }
    PathBuf::from(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_made_safe() {
        for (text, name) in [
            ("a.txt", "a.txt"),
            ("../../x", "_._.._x"),
            ("..", "index.html"),
            ("", "index.html"),
            (".bashrc", "_bashrc"),
            ("a\nb\0c\x1b[31m", "a_b_c_[31m"),
            ("con", "_con"),
            ("Com1.txt", "_Com1.txt"),
            ("com10", "com10"),
            ("x.part", "_x.part_"),
            ("x.bad", "_x.bad_"),
            ("exe\u{202e}cod", "exe_cod"),
            ("a. . ", "a"),
            ("naïve — 日本.txt", "naïve — 日本.txt"),
        ] {
            assert_eq!(safe(text), name, "{text:?}");
        }
        let long = safe(&format!("{}.tar.gz", "ü".repeat(300)));
        assert!(long.len() <= LONGEST && long.ends_with(".gz"), "{long}");
    }

    #[test]
    fn a_url_names_its_last_part() {
        for (url, name) in [
            ("http://a/b/c.txt?x=/y#z", Some("c.txt")),
            ("http://a/", None),
            ("http://a", None),
            ("http://a/%e6%97%a5.txt", Some("日.txt")),
            ("http://a/%ff", Some("%ff")),
            ("http://a/..%2f..%2fetc%2fpasswd", Some("_._.._etc_passwd")),
            ("http://a/%00", Some("_")),
        ] {
            let url = Url::parse(url).expect("a URL");
            assert_eq!(of_url(&url).as_deref(), name, "{url}");
        }
    }

    #[test]
    fn a_header_names_it_in_several_ways() {
        for (header, name) in [
            ("attachment; filename=a.txt", Some("a.txt")),
            (
                r#"attachment; filename="a \"b\" c.txt""#,
                Some("a _b_ c.txt"),
            ),
            (
                r#"attachment; filename="x.txt"; filename*=UTF-8''%e2%82%ac.txt"#,
                Some("€.txt"),
            ),
            ("attachment; filename*=iso-8859-1'en'%A3.txt", Some("£.txt")),
            ("attachment; filename*=utf-8''%ff; filename=b", Some("b")),
            (r#"attachment; filename="../../x""#, Some("x")),
            (r#"attachment; filename="C:\\dir\\y""#, Some("y")),
            ("attachment", None),
            ("inline; filename=", None),
            (r#"attachment; filename="unclosed"#, Some("unclosed")),
        ] {
            assert_eq!(
                of_disposition(header.as_bytes()).as_deref(),
                name,
                "{header}"
            );
        }
    }

    #[test]
    fn a_list_s_paths_stay_in_the_folder() {
        assert_eq!(within("a/./b.txt"), Ok(PathBuf::from("a/b.txt")));
        for path in [
            "../x",
            "/etc/passwd",
            "a/../../x",
            "",
            ".",
            "a/..",
            "x.part",
            "a\nb",
        ] {
            assert!(within(path).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_list_s_folders_are_in_the_folder() {
        let base = Path::new("/data");
        for (dir, path) in [
            ("a/b", "/data/a/b"),
            ("/data/c", "/data/c"),
            (".", "/data/."),
        ] {
            assert_eq!(folder(base, dir).as_deref(), Ok(Path::new(path)), "{dir}");
        }
        for dir in ["..", "a/../..", "/etc", "/database", "a\nb"] {
            assert!(folder(base, dir).is_err(), "{dir}");
        }
        assert_eq!(folder(Path::new(""), "a").as_deref(), Ok(Path::new("a")));
    }

    #[test]
    fn no_name_is_given_away_twice() {
        let mut names = TakenNames::default();
        let mut claim = |name: &str| names.claim(name.into()).display().to_string();
        assert_eq!(claim("a"), "a");
        assert_eq!(claim("A"), "A.1");
        assert_eq!(claim("a"), "a.2");
        assert_eq!(claim("a.1"), "a.1.1");
    }

    proptest! {
        #[test]
        fn whatever_it_is_made_of_a_name_is_safe(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            let of_header = of_disposition(&bytes);
            let quoted = of_disposition(format!("attachment; filename=\"{text}").as_bytes());
            for name in [Some(safe(&text)), of_header, quoted].into_iter().flatten() {
                prop_assert!(!name.is_empty() && name.len() <= LONGEST);
                prop_assert!(!name.contains(['/', '\\', '\0']) && !name.starts_with('.'));
                prop_assert!(!name.chars().any(char::is_control));
                prop_assert!(!is_ours(&name) && !is_device(&name));
                prop_assert!(within(&name).is_ok());
            }
        }
    }
}
