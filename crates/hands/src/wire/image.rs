//! The program's own image: where its code lies, and what it is known by.
//!
//! A function is named, from one process of a program to another, by its distance from where the
//! executable was loaded. That is the same in both as long as both run the same executable, which
//! is made sure in two ways: a worker is started from the image that this process itself runs
//! (`/proc/self/exe`, also when the file has been replaced meanwhile), and it says the image's
//! identity before it is given anything to do.

use std::ffi::{c_int, c_void};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::codec::{Failure, Message};

/// A function's place in the executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Code(u64);

/// A static's place in the executable: what it is known by in other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Datum(u64);

impl Datum {
    /// `None`: it lies outside of the executable.
    pub(crate) fn at(address: usize) -> Option<Datum> {
        let image = image();
        let inside = image.all.contains(&address);
        inside.then(|| Datum((address - image.base) as u64))
    }

    /// Where it is in this process, if that is within the executable.
    pub(crate) fn address(self) -> Option<usize> {
        let image = image();
        let address = image.base.checked_add(usize::try_from(self.0).ok()?)?;
        image.all.contains(&address).then_some(address)
    }
}

/// What such a place holds.
pub(crate) type Entry = fn(&[u8], Vec<OwnedFd>) -> Result<Message, Failure>;

#[derive(Debug, Default)]
struct Image {
    base: usize,
    /// From the first of its segments to the last.
    all: Range<usize>,
    /// Executable segments, as addresses.
    code: Vec<Range<usize>>,
    /// Some of them may not be read.
    is_sealed: bool,
    id: Vec<u8>,
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(Image::read)
}

/// What this executable is known by.
pub(crate) fn id() -> &'static [u8] {
    &image().id
}

impl Code {
    /// `None`: it lies outside of the executable, in a shared library.
    pub(crate) fn of(entry: Entry) -> Option<Code> {
        Code::at(entry as usize)
    }

    /// [`of`](Self::of), for a function of any type.
    pub(crate) fn at(address: usize) -> Option<Code> {
        let image = image();
        let inside = image.code.iter().any(|range| range.contains(&address));
        inside.then(|| Code((address - image.base) as u64))
    }

    /// The function there.
    ///
    /// # Safety
    ///
    /// It was made by [`of`](Self::of) in a process with the same image [`id`].
    pub(crate) unsafe fn entry(self) -> Option<Entry> {
        let address = self.address()?;
        // SAFETY: the same code at the same distance from its base, as the caller says; there it
        // was an `Entry`.
        Some(unsafe { std::mem::transmute::<*const (), Entry>(address) })
    }

    /// Where it is in this process, if that is within the code of the executable.
    pub(crate) fn address(self) -> Option<*const ()> {
        let image = image();
        let address = image.base.checked_add(usize::try_from(self.0).ok()?)?;
        let inside = image.code.iter().any(|range| range.contains(&address));
        inside.then_some(address as *const ())
    }
}

impl Image {
    fn read() -> Image {
        let mut image = Image::default();
        // SAFETY: the callback is called during this call only, with the pointer that is given
        // here.
        unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut image).cast()) };
        if image.id.is_empty() {
            image.id = image.hash();
        }
        image
    }

    /// For an executable that was linked without a build id: of its code and of where that lies.
    fn hash(&self) -> Vec<u8> {
        // FNV-1a, 64 bits: this tells versions of one program apart, and nobody is to be kept out
        // by it.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut add = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        for range in &self.code {
            let at = (range.start - self.base) as u64;
            at.to_le_bytes().into_iter().for_each(&mut add);
            if self.is_sealed {
                continue;
            }
            // SAFETY: a segment of our own executable, which is mapped for reading too, and never
            // written.
            let bytes =
                unsafe { std::slice::from_raw_parts(range.start as *const u8, range.len()) };
            bytes.iter().copied().for_each(&mut add);
        }
        hash.to_le_bytes().to_vec()
    }

    /// The build id among these notes, if it is there.
    fn find_id(mut notes: &[u8]) -> Option<&[u8]> {
        const BUILD_ID: u32 = 3;
        let word = |bytes: &[u8], at: usize| {
            let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
            usize::try_from(u32::from_ne_bytes(bytes)).ok()
        };
        loop {
            let (name, length) = (word(notes, 0)?, word(notes, 4)?);
            let kind = word(notes, 8)?;
            let text = 12 + name.checked_next_multiple_of(4)?;
            let end = text.checked_add(length)?;
            if kind == BUILD_ID as usize && notes.get(12..12 + name)? == b"GNU\0" {
                return notes.get(text..end);
            }
            notes = notes.get(end.checked_next_multiple_of(4)?..)?;
        }
    }
}

/// Reads the first of the loaded objects, which is the executable.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _: usize,
    image: *mut c_void,
) -> c_int {
    // SAFETY: `read` gives a pointer to an `Image` that nobody else uses meanwhile.
    let image = unsafe { &mut *image.cast::<Image>() };
    // SAFETY: the loader's, valid during the callback.
    let info = unsafe { &*info };
    let base = info.dlpi_addr as usize;
    // SAFETY: the loader says where the headers are, and how many.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    image.base = base;
    for header in headers {
        let start = base + header.p_vaddr as usize;
        let length = header.p_memsz as usize;
        if header.p_type == libc::PT_LOAD {
            let all = &image.all;
            image.all = if all.is_empty() {
                start..start + length
            } else {
                all.start.min(start)..all.end.max(start + length)
            };
        }
        if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0 {
            image.code.push(start..start + length);
            image.is_sealed |= header.p_flags & libc::PF_R == 0;
        }
        if header.p_type == libc::PT_NOTE && image.id.is_empty() {
            // SAFETY: a segment that the loader has mapped for reading, as notes are.
            let notes = unsafe { std::slice::from_raw_parts(start as *const u8, length) };
            image.id = Image::find_id(notes).unwrap_or_default().to_vec();
        }
    }
    // Stop: the others are libraries.
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(_: &[u8], _: Vec<OwnedFd>) -> Result<Message, Failure> {
        Ok(Message {
            bytes: vec![1],
            descriptors: Vec::new(),
        })
    }

    #[test]
    fn a_function_is_found_again() {
        let code = Code::of(one).expect("in the executable");
        // SAFETY: made above, in this very process.
        let entry = unsafe { code.entry() }.expect("inside");
        assert_eq!(
            entry(&[], Vec::new()).map(|message| message.bytes),
            Ok(vec![1])
        );
    }

    #[test]
    fn what_lies_elsewhere_is_no_code() {
        // SAFETY: outside of the code, so nothing is called.
        assert!(unsafe { Code(u64::MAX).entry() }.is_none());
        // SAFETY: as above; the first byte is the file's header.
        assert!(unsafe { Code(0).entry() }.is_none());
    }

    #[test]
    fn the_image_has_an_identity() {
        assert!(id().len() >= 8);
        assert_eq!(Image::read().hash(), Image::read().hash());
    }

    #[test]
    fn notes_are_read_with_care() {
        let note = |kind: u32, name: &[u8], text: &[u8]| {
            let words = [name.len() as u32, text.len() as u32, kind];
            let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            for part in [name, text] {
                bytes.extend(part);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
            }
            bytes
        };
        let both = [note(1, b"GNU\0", b"abc"), note(3, b"GNU\0", b"identity")].concat();
        assert_eq!(Image::find_id(&both), Some(&b"identity"[..]));
        assert_eq!(Image::find_id(&note(3, b"Go\0\0", b"identity")), None);
        for cut in 0..both.len() {
            let _ = Image::find_id(&both[..cut]);
        }
        assert_eq!(Image::find_id(&[0xff; 64]), None);
    }
}
