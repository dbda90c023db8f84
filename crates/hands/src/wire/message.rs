//! Messages between processes of one program: bytes and descriptors, over a socket that keeps
//! messages whole.
//!
//! What is larger than [`INLINE`] travels in an unnamed file, whose descriptor is sent. So no
//! message is larger than a socket takes at once, and a sender never waits for a reader who does
//! not read.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

use super::codec::Message;
use crate::machine::with_file_limit_as_error;

/// Bytes of a message that are sent as they are.
const INLINE: usize = 48 * 1024;

/// Descriptors that the kernel takes in one message.
const MOST_DESCRIPTORS: usize = 253;

/// Shared things that one message carries, one less: its bytes may need a descriptor, too.
pub(crate) const MOST_SHARED: usize = MOST_DESCRIPTORS - 1;

/// Why a value with so many of them cannot be sent.
pub(crate) fn too_many(shared: usize) -> String {
    format!(
        "{shared} shared things are more than one message carries; send at most {MOST_SHARED} at a time"
    )
}

/// Bytes of what a file's size on the disk is counted in.
const BLOCK: u64 = 512;

const PLAIN: u8 = 0;
const IN_A_FILE: u8 = 1;

/// Two ends of a new connection.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let pair = socketpair(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    );
    Ok(pair?)
}

/// A message that has come. What is long lies in a file still, whose reading takes as long as it
/// is.
#[derive(Debug)]
pub(crate) struct Letter {
    bytes: Vec<u8>,
    file: Option<OwnedFd>,
    descriptors: Vec<OwnedFd>,
}

impl Letter {
    /// Reads it.
    pub(crate) fn open(self) -> io::Result<Message> {
        let bytes = match self.file {
            None => self.bytes,
            Some(file) => all_of(File::from(file))
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
        };
        let descriptors = self.descriptors;
        Ok(Message { bytes, descriptors })
    }
}

/// Sends one message, waiting for room. An end that is closed is `BrokenPipe`.
pub(crate) fn send(socket: impl AsFd, message: &Message) -> io::Result<()> {
    send_with(socket, message, SendFlags::empty())
}

/// With `DONTWAIT`, no room is `WouldBlock`.
pub(crate) fn send_with(socket: impl AsFd, message: &Message, flags: SendFlags) -> io::Result<()> {
    send_beside(socket, message, &[], flags)
}

/// As [`send_with`], with more descriptors, which the caller keeps.
pub(crate) fn send_beside(
    socket: impl AsFd,
    message: &Message,
    beside: &[OwnedFd],
    flags: SendFlags,
) -> io::Result<()> {
    let mut kind = PLAIN;
    let mut bytes = &message.bytes[..];
    let mut descriptors: Vec<BorrowedFd<'_>> = Vec::with_capacity(message.descriptors.len() + 1);
    let file;
    if bytes.len() > INLINE {
        file = in_a_file(bytes)?;
        descriptors.push(file.as_fd());
        kind = IN_A_FILE;
        bytes = &[];
    }
    let given = message.descriptors.iter().chain(beside);
    descriptors.extend(given.map(OwnedFd::as_fd));
    if descriptors.len() > MOST_DESCRIPTORS {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            too_many(message.descriptors.len() + beside.len()),
        ));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let parts = [
        IoSlice::new(std::slice::from_ref(&kind)),
        IoSlice::new(bytes),
    ];
    loop {
        match sendmsg(&socket, &parts, &mut ancillary, flags | SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            sent => return sent.map(drop).map_err(io::Error::from),
        }
    }
}

fn in_a_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("hands-message", MemfdFlags::CLOEXEC)?);
    with_file_limit_as_error(|| file.write_all(bytes))?;
    file.rewind()?;
    Ok(file)
}

thread_local! {
    /// What a message is received into, before it is known how long it is.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 1 + INLINE]);
}

/// The next message. `None`: the other end is closed, and all has been read. With `DONTWAIT`, no
/// message is `WouldBlock`. One that has come but cannot be read is `InvalidData`, and the next one
/// is.
pub(crate) fn receive(socket: impl AsFd, flags: RecvFlags) -> io::Result<Option<Message>> {
    receive_letter(socket, flags)?.map(Letter::open).transpose()
}

/// As [`receive`], but what is long is not read yet.
pub(crate) fn receive_letter(socket: impl AsFd, flags: RecvFlags) -> io::Result<Option<Letter>> {
    let received = BUFFER.try_with(|buffer| receive_into(&mut buffer.borrow_mut(), &socket, flags));
    // A thread that ends may receive still, while what it keeps is dropped.
    received.unwrap_or_else(|_| receive_into(&mut vec![0; 1 + INLINE], &socket, flags))
}

fn receive_into(
    buffer: &mut [u8],
    socket: impl AsFd,
    flags: RecvFlags,
) -> io::Result<Option<Letter>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    // The kernel looks for a message and, when there is none, whether the other end is closed; what
    // was sent and closed between these two looks would be taken for the end. Behind that nothing
    // comes any more, so a second look is sure.
    let mut is_end_seen = false;
    let got = loop {
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        match recvmsg(&socket, &mut parts, &mut ancillary, flags) {
            // The other end was closed with something of ours unread, which is said once; what it
            // sent is still there.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNRESET) => {}
            Ok(got) if got.bytes == 0 && !is_end_seen => is_end_seen = true,
            got => break got?,
        }
    };
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    let Some((&kind, plain)) = buffer[..got.bytes].split_first() else {
        return Ok(None);
    };
    if got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "this process has as many descriptors as it may have, and what was sent brings more; raise the limit (`ulimit -n`)",
        ));
    }
    let (bytes, file) = match kind {
        PLAIN => (plain.to_vec(), None),
        IN_A_FILE if !descriptors.is_empty() => (Vec::new(), Some(descriptors.remove(0))),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    Ok(Some(Letter {
        bytes,
        file,
        descriptors,
    }))
}

/// What is in the file just now, if it is one: reading anything else might never end.
fn all_of(file: File) -> io::Result<Vec<u8>> {
    let known = file.metadata()?;
    if !known.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    // A file of holes may say that it is of any length, and be none of ours: ours are written from
    // end to end.
    if known.len().div_ceil(BLOCK) > known.blocks() {
        let told = "a message says that it is longer than it is";
        return Err(io::Error::new(io::ErrorKind::InvalidData, told));
    }
    let length = usize::try_from(known.len()).map_err(|_| io::ErrorKind::OutOfMemory)?;
    bytes.try_reserve_exact(length).map_err(|_| {
        let told = format!("out of memory: this process may not have {length} bytes more");
        io::Error::new(io::ErrorKind::OutOfMemory, told)
    })?;
    while bytes.len() < length {
        // Into what is reserved, and no further.
        match rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::process::order::{Hello, Loaded, Made, Request, Told, Welcome};
    use crate::wire::codec;

    fn file() -> OwnedFd {
        File::open("/dev/null").expect("/dev/null").into()
    }

    #[test]
    fn messages_of_all_sizes_stay_whole() {
        let (one, other) = pair().expect("sockets");
        for size in [0, 1, INLINE, INLINE + 1, 3_000_000] {
            let bytes: Vec<u8> = (0..size).map(|n| n as u8).collect();
            let sent = Message {
                bytes,
                descriptors: vec![file()],
            };
            send(&one, &sent).expect("sent");
            let got = receive(&other, RecvFlags::empty())
                .expect("received")
                .expect("open");
            assert!(
                got.bytes == sent.bytes && got.descriptors.len() == 1,
                "{size}"
            );
        }
    }

    #[test]
    fn a_closed_end_is_told() {
        let (one, other) = pair().expect("sockets");
        send(
            &one,
            &Message {
                bytes: vec![1],
                descriptors: Vec::new(),
            },
        )
        .expect("sent");
        drop(one);
        assert!(
            receive(&other, RecvFlags::empty())
                .expect("received")
                .is_some()
        );
        assert!(
            receive(&other, RecvFlags::empty())
                .expect("received")
                .is_none()
        );
        let refused = send(&other, &Message::default()).map_err(|error| error.kind());
        assert_eq!(refused, Err(io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn what_was_sent_comes_also_from_one_that_did_not_read() {
        let (one, other) = pair().expect("sockets");
        let message = Message {
            bytes: vec![7],
            descriptors: Vec::new(),
        };
        send(&one, &message).expect("sent");
        send(&other, &message).expect("sent");
        drop(other);
        let receive = || receive(&one, RecvFlags::DONTWAIT).expect("received");
        assert_eq!(receive().map(|message| message.bytes), Some(vec![7]));
        assert!(receive().is_none());
    }

    #[test]
    fn more_descriptors_than_a_message_carries_are_refused() {
        let (one, _other) = pair().expect("sockets");
        let message = Message {
            bytes: Vec::new(),
            descriptors: (0..300).map(|_| file()).collect(),
        };
        let refused = send(&one, &message).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|told| told.contains("300 shared things")));
    }

    #[test]
    fn a_file_that_is_longer_than_what_is_in_it_is_refused() {
        let (one, other) = pair().expect("sockets");
        let holes = File::from(memfd_create("test", MemfdFlags::CLOEXEC).expect("memory"));
        holes.set_len(1 << 40).expect("holes take no memory");
        let holes = [holes.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&holes)));
        let parts = [IoSlice::new(&[IN_A_FILE])];
        sendmsg(&one, &parts, &mut ancillary, SendFlags::empty()).expect("sent");
        let refused = receive(&other, RecvFlags::empty()).map_err(|error| error.to_string());
        assert!(refused.is_err_and(|told| told.contains("longer than it is")));
    }

    /// Whatever it is read as, it is read or refused.
    fn read(bytes: &[u8]) {
        fn read<T: DeserializeOwned>(bytes: &[u8]) {
            drop(codec::decode::<T>(bytes));
        }
        read::<Hello>(bytes);
        read::<Welcome>(bytes);
        read::<Loaded>(bytes);
        read::<Request>(bytes);
        read::<Made>(bytes);
        read::<Told>(bytes);
        read::<Vec<Option<(String, [f64; 2])>>>(bytes);
    }

    proptest! {
        #[test]
        fn any_message_is_received_or_refused(
            kind in 0..4_u8,
            bytes in any::<Vec<u8>>(),
            files in proptest::collection::vec(0..3_u8, 0..4),
        ) {
            let (one, other) = pair()?;
            let one_end = std::io::pipe()?;
            let descriptors: Vec<OwnedFd> = files.iter().map(|file| match file {
                0 => self::file(),
                1 => in_a_file(&bytes).map_or_else(|_| self::file(), OwnedFd::from),
                // Nothing ever comes there, and nobody hangs up.
                _ => one_end.0.try_clone().map_or_else(|_| self::file(), OwnedFd::from),
            }).collect();
            let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(8))];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            if !borrowed.is_empty() {
                prop_assert!(ancillary.push(SendAncillaryMessage::ScmRights(&borrowed)));
            }
            let parts = [IoSlice::new(std::slice::from_ref(&kind)), IoSlice::new(&bytes)];
            sendmsg(&one, &parts, &mut ancillary, SendFlags::empty())?;
            if let Ok(Some(message)) = receive(&other, RecvFlags::empty()) {
                prop_assert!(kind == PLAIN && message.bytes == bytes || kind == IN_A_FILE);
                read(&message.bytes);
            }
            read(&bytes);
        }
    }
}
