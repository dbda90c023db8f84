use std::io::Write;

use super::*;
use crate::hang_up::hang_up;
use crate::input::testing::file;

fn read_all(reader: &mut Reader) -> Vec<u8> {
    loop {
        match reader.fill().expect("readable") {
            Fill::More => {}
            Fill::Pending => panic!("it is all there"),
            Fill::End => return reader.bytes().to_vec(),
        }
    }
}

#[test]
fn bytes_stay_until_they_are_used_and_more_come_behind_them() {
    let bytes: Vec<u8> = (0..3 * BLOCK).map(|place| (place % 251) as u8).collect();
    let mut reader = Reader::new(file(&bytes)).expect("a reader");
    let mut got = Vec::new();
    while reader.fill().expect("readable") != Fill::End {
        let used = reader.bytes().len() * 2 / 3;
        got.extend(reader.take(used));
    }
    got.extend_from_slice(reader.bytes());
    assert!(got == bytes);
}

#[test]
fn a_pipe_with_nothing_in_it_is_no_end() {
    let (read, mut write) = std::io::pipe().expect("a pipe");
    let mut reader = Reader::new(read.into()).expect("a reader");
    assert_eq!(reader.fill().expect("readable"), Fill::Pending);
    write.write_all(b"a").expect("write");
    assert_eq!(reader.fill().expect("readable"), Fill::More);
    assert_eq!(reader.fill().expect("readable"), Fill::Pending);
    assert_eq!(reader.bytes(), b"a");
    hang_up(write, &reader);
    assert_eq!(reader.fill().expect("readable"), Fill::End);
    assert_eq!(reader.bytes(), b"a");
}

#[test]
fn a_pipe_is_left_as_it_was_found() {
    let (read, _write) = std::io::pipe().expect("a pipe");
    let shared = read.try_clone().expect("a copy");
    let mut reader = Reader::new(read.into()).expect("a reader");
    assert_eq!(reader.fill().expect("readable"), Fill::Pending);
    let flags = rustix::fs::fcntl_getfl(&shared).expect("flags");
    assert!(!flags.contains(rustix::fs::OFlags::NONBLOCK));
}

#[test]
fn devices_and_files_are_read_and_folders_refused() {
    let mut nothing = Reader::open(Path::new("/dev/null")).expect("a reader");
    assert_eq!(read_all(&mut nothing), b"");
    let folder = tempfile::tempdir().expect("a folder");
    let error = Reader::open(folder.path()).expect_err("a folder");
    assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    let error = Reader::open(&folder.path().join("none")).expect_err("nothing");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}
