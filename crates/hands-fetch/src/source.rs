//! All that was asked for, one after the other, with the name that each file is to have.

use std::collections::HashSet;
use std::fs::{self, File, FileType};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use hands::sync::Mutex;

use super::list::{self, ListItem, UrlList, Wanted};
use super::name::TakenNames;
use super::plan::FetchPlan;
use super::state::{FetchState, FetchTarget};
use super::stream::is_stdout;
use super::{metalink, name, ranges};

type Listed = Box<dyn Iterator<Item = Result<ListItem, String>> + Send>;
/// Where URLs come from.
pub(super) struct UrlSource {
    pub(super) items: Listed,
    /// One of them may keep the reader waiting: a pipe, a terminal.
    pub(super) may_wait: bool,
    /// There is no other.
    pub(super) is_one: bool,
}

/// A longer text is neither a Metalink nor a list of checksums.
const LONGEST: u64 = 64 << 20;

/// The text of a file that a flag names.
pub(super) fn text(path: &Path, flag: &str) -> Result<String, String> {
    let wrong = |what: &dyn std::fmt::Display| format!("`{flag} {}`: {what}", path.display());
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(&error))?;
    file.take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| wrong(&error))?;
    if text.len() as u64 == LONGEST {
        return Err(wrong(&"it is longer than 64 MiB"));
    }
    Ok(text)
}

impl UrlSource {
    /// Opens all, so that what is not there is told before anything is fetched.
    pub(super) fn new(flags: &FetchPlan) -> Result<UrlSource, String> {
        let what = &flags.what;
        if flags.open {
            return UrlSource::open(flags);
        }
        if what.urls.is_empty() && what.input_file.is_empty() && what.metalink.is_empty() {
            let mut why = "there is no URL".to_owned();
            if let Some(output) = &flags.files.output {
                why += &format!(
                    "\n  hint: `{}` is taken for the name of a file, by -o or wget's -O",
                    output.display()
                );
            }
            why += "\n  hint: name URLs, or a file of them with -i\n  hint: `hands fetch --help` shows examples";
            return Err(why);
        }
        let urls: Vec<String> = match what.globoff {
            true => what.urls.clone(),
            false => {
                let all = what.urls.iter().map(|url| ranges::expanded(url));
                all.collect::<Result<Vec<_>, _>>()?.concat()
            }
        };
        let is_one = urls.len() == 1 && what.input_file.is_empty() && what.metalink.is_empty();
        let to_stdout = flags.files.output.as_deref().is_some_and(is_stdout);
        for (is_given, flag) in [
            (flags.files.output.is_some() && !to_stdout, "--output"),
            (flags.files.checksum.is_some(), "--checksum"),
        ] {
            if is_given && !is_one {
                return Err(format!(
                    "`{flag}` is for one URL; in a list, `out=` and `checksum=` below each are"
                ));
            }
        }
        let checksum = flags
            .files
            .checksum
            .as_ref()
            .map(|sum| sum.parse())
            .transpose();
        let checksum = checksum.map_err(|error: String| format!("`--checksum`: {error}"))?;
        let given = urls.into_iter().map(move |text| {
            let mut item = list::item(&text);
            if let Ok(wanted) = &mut item.wanted {
                wanted.checksum = checksum.clone();
            }
            Ok(item)
        });
        let mut items: Listed = Box::new(given);
        let mut may_wait = false;
        for path in &what.metalink {
            let found = metalink::items(&text(path, "--metalink")?);
            let found =
                found.map_err(|error| format!("`--metalink {}`: {error}", path.display()))?;
            items = Box::new(items.chain(found.into_iter().map(Ok)));
        }
        for path in &what.input_file {
            let shown = path.display().to_string();
            let lines: Box<dyn Read + Send> = if path.as_os_str() == "-" {
                may_wait = true;
                Box::new(io::stdin())
            } else {
                let file =
                    File::open(path).map_err(|error| format!("`--input-file {shown}`: {error}"))?;
                let kind = file.metadata().map(|metadata| metadata.file_type());
                if kind.as_ref().is_ok_and(FileType::is_dir) {
                    return Err(format!("`--input-file {shown}` is a folder"));
                }
                may_wait |= !kind.is_ok_and(|kind| kind.is_file());
                Box::new(file)
            };
            let list = UrlList::new(BufReader::new(lines));
            let list = list.map(move |item| {
                item.map_err(|error| format!("`{shown}` cannot be read: {error}"))
            });
            items = Box::new(items.chain(list));
        }
        Ok(UrlSource {
            items,
            may_wait,
            is_one,
        })
    }

    /// Of nothing yet.
    fn open(flags: &FetchPlan) -> Result<UrlSource, String> {
        let what = &flags.what;
        let has_more =
            !(what.urls.is_empty() && what.input_file.is_empty() && what.metalink.is_empty());
        if has_more || flags.files.output.is_some() || flags.files.checksum.is_some() {
            return Err(
                "a run that is open begins with no URL, and none has a name of its own".to_owned(),
            );
        }
        Ok(UrlSource {
            items: Box::new(std::iter::empty()),
            may_wait: true,
            is_one: false,
        })
    }

    /// What is added while it runs comes behind all else.
    pub(super) fn with_added(mut self, added: std::sync::mpsc::Receiver<String>) -> UrlSource {
        self.items = Box::new(
            self.items
                .chain(added.into_iter().map(|text| Ok(list::item(&text)))),
        );
        self
    }
}

/// Where it goes to.
pub(super) fn target(
    flags: &FetchPlan,
    names: &Mutex<TakenNames>,
    wanted: &Wanted,
    known: &mut HashSet<u64>,
    is_one: bool,
) -> Result<FetchTarget, FetchState> {
    let files = &flags.files;
    let Some(url) = wanted.sources.first() else {
        return Err(FetchState::Failed("there is no URL".to_owned()));
    };
    let dir = files.dir.as_deref().unwrap_or(Path::new(""));
    if let Some(output) = &files.output {
        if is_stdout(output) {
            return Ok(FetchTarget::Stdout { waits: !is_one });
        }
        let path = dir.join(output);
        return match fs::metadata(&path) {
            Ok(there) if there.is_dir() => {
                let why = format!(
                    "`{}` is a folder; name a file, or use --dir",
                    path.display()
                );
                Err(FetchState::Failed(why))
            }
            // A device, a pipe: never replaced by a file.
            Ok(there) if !there.is_file() => Ok(FetchTarget::Stream(path)),
            _ => Ok(FetchTarget::File(path)),
        };
    }
    let base = dir;
    let dir = match &wanted.dir {
        None => base.to_owned(),
        Some(below) => name::folder(base, below).map_err(FetchState::Failed)?,
    };
    stays_within(base, &dir).map_err(FetchState::Failed)?;
    if let Some(out) = &wanted.out {
        let path = dir.join(name::within(out).map_err(FetchState::Failed)?);
        if let Some(folder) = path.parent() {
            stays_within(base, folder).map_err(FetchState::Failed)?;
        }
        if !names.lock().take(&path) {
            let why = format!("another URL of this run is `{}` already", path.display());
            return Err(FetchState::Failed(why));
        }
        return Ok(FetchTarget::File(path));
    }
    // A hash is enough: that two of a million are the same happens once in many million runs.
    let mut hash = DefaultHasher::new();
    url.as_str().hash(&mut hash);
    // Who adds URLs one by one knows which it has.
    if !known.insert(hash.finish()) && !flags.open {
        return Err(FetchState::Skipped("it was listed before".to_owned()));
    }
    match name::of_url(url) {
        Some(name) if !files.content_disposition => {
            let path = names.lock().claim(dir.join(name));
            Ok(FetchTarget::File(path))
        }
        name => Ok(FetchTarget::Named {
            folder: dir,
            otherwise: name.unwrap_or_else(|| "index.html".to_owned()),
        }),
    }
}

/// A URL of a plan, with the name that its file is to have, for somebody else to fetch.
#[derive(Clone, Debug)]
pub struct NamedUrl {
    /// Its place in the list, from 1.
    pub number: u64,
    /// As it was written.
    pub text: String,
    /// As a list has it, with its name; or what has become of it already.
    pub entry: Result<String, FetchState>,
}

/// All URLs of a plan, in order, each with the name that its file would have if this run fetched
/// it.
pub(super) fn named(plan: &FetchPlan) -> Result<Vec<NamedUrl>, String> {
    let source = UrlSource::new(plan)?;
    let (names, mut known) = (Mutex::new(TakenNames::default()), HashSet::new());
    let base = plan.files.dir.clone().unwrap_or_default();
    let mut all = Vec::new();
    for (number, item) in (1..).zip(source.items) {
        let ListItem { text, wanted } = item?;
        let entry = wanted.map_err(FetchState::Failed).and_then(|mut wanted| {
            if let FetchTarget::File(path) =
                target(plan, &names, &wanted, &mut known, source.is_one)?
            {
                let below = path.strip_prefix(&base).unwrap_or(&path);
                wanted.out = Some(below.to_string_lossy().into_owned());
                wanted.dir = None;
            }
            Ok(wanted.listed())
        });
        all.push(NamedUrl {
            number,
            text,
            entry,
        });
    }
    Ok(all)
}

/// No link on the way may lead out of the folder.
fn stays_within(dir: &Path, folder: &Path) -> Result<(), String> {
    let below = folder.strip_prefix(dir).unwrap_or(folder);
    let mut path = PathBuf::from(dir);
    for component in below.components() {
        path.push(component);
        if fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink()) {
            return Err(format!(
                "`{}` is a link, and may lead out of the folder for downloads",
                path.display()
            ));
        }
    }
    Ok(())
}
