//! Memory, slices and bytes: the same for all who have them, and there in full.

use hands::process;
use hands::shared::{Bytes, Memory, Slice};

#[test]
fn what_one_writes_all_read() {
    let memory = Memory::new(100).unwrap();
    assert_eq!((memory.len(), memory.is_empty()), (100, false));
    let clone = memory.clone();
    assert!(clone.is_same(&memory));
    let write = |memory: Memory| {
        memory.write(3, b"from afar");
        memory
    };
    let back = process::spawn(write, memory.clone())
        .unwrap()
        .join()
        .unwrap();
    assert!(
        !back.is_same(&memory),
        "another handle, and yet the same memory"
    );
    back.write(0, b"abc");
    let mut read = [0; 12];
    memory.read(0, &mut read);
    assert_eq!(&read, b"abcfrom afar");
}

#[test]
fn parts_of_all_sizes_and_places_are_copied_whole() {
    let memory = Memory::new(64).unwrap();
    for at in 0..20 {
        for length in 0..40 {
            let bytes: Vec<u8> = (1..=length).collect();
            memory.write(0, &[0xee; 64]);
            memory.write(at, &bytes);
            let mut all = [0; 64];
            memory.read(0, &mut all);
            let mut expected = [0xee; 64];
            expected[at..at + bytes.len()].copy_from_slice(&bytes);
            assert_eq!(all, expected, "{length} at {at}");
            let mut part = vec![0; bytes.len()];
            memory.read(at, &mut part);
            assert_eq!(part, bytes, "{length} at {at}");
        }
    }
}

#[test]
#[should_panic(expected = "5 bytes at 96 are not within the 100 bytes of this memory")]
fn beyond_the_end_is_nothing() {
    Memory::new(100).unwrap().write(96, &[0; 5]);
}

#[test]
fn more_memory_than_there_is_is_refused_and_nobody_is_killed() {
    for length in [0, 1 << 50, usize::MAX] {
        let refused = Memory::new(length).err().map(|error| error.to_string());
        assert!(refused.is_some(), "{length}");
    }
    let refused = Memory::new(1 << 50).err().map(|error| error.to_string());
    assert!(refused.is_some_and(|told| told.contains("of shared memory are not to be had")));
    assert!(Slice::<u64>::zeroed(usize::MAX).is_err());
}

#[test]
fn processes_of_processes_have_it_too() {
    fn pass_on((memory, depth): (Memory, u8)) {
        memory.write(usize::from(depth), &[depth + 1]);
        if depth > 0 {
            process::spawn(pass_on, (memory, depth - 1))
                .unwrap()
                .join()
                .unwrap();
        }
    }
    let memory = Memory::new(4).unwrap();
    pass_on((memory.clone(), 3));
    let mut read = [0; 4];
    memory.read(0, &mut read);
    assert_eq!(read, [1, 2, 3, 4]);
}

#[test]
fn processes_fill_parts_of_a_slice() {
    let slice = Slice::<u64>::zeroed(1000).unwrap();
    let processes: Vec<_> = (0..4)
        .map(|part| {
            let fill = |(slice, part): (Slice<u64>, usize)| {
                for at in part * 250..(part + 1) * 250 {
                    slice.set(at, (at * at) as u64);
                }
            };
            process::spawn(fill, (slice.clone(), part)).unwrap()
        })
        .collect();
    for process in processes {
        process.join().unwrap();
    }
    assert!(slice.to_vec().into_iter().eq((0..1000).map(|n| n * n)));
    assert_eq!((slice.get(999), slice.get(1000)), (Some(998_001), None));
    assert_eq!((slice.len(), slice.is_empty()), (1000, false));
    let mut part = [0; 3];
    slice.read(10, &mut part);
    assert_eq!(part, [100, 121, 144]);
    let empty = Slice::<[f32; 3]>::from_slice(&[]).unwrap();
    assert!(empty.is_empty() && empty.get(0).is_none() && empty.to_vec().is_empty());
}

#[test]
#[should_panic(expected = "2 elements at 3 are not within a slice of 4")]
fn beyond_the_end_of_a_slice_is_nothing() {
    Slice::from_slice(&[1_u16, 2, 3, 4])
        .unwrap()
        .write(3, &[5, 6]);
}

#[test]
fn bytes_arrive_as_they_were() {
    let long: Vec<u8> = (0..5_000_000_u32).map(|n| n as u8).collect();
    for bytes in [&b""[..], b"x", &long] {
        let shared = Bytes::new(bytes).unwrap();
        let back = process::spawn(|bytes: Bytes| bytes, shared.clone());
        let back = back.unwrap().join().unwrap();
        assert!(*back == *bytes && back == shared);
    }
}

#[test]
fn nobody_changes_bytes_any_more() {
    let bytes = Bytes::new(b"fixed").unwrap();
    let change = |bytes: Bytes| {
        // By the file behind it, which this process has too.
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        let mut refused = 0;
        for entry in all {
            let path = entry.unwrap().path();
            let name = std::fs::read_link(&path).unwrap_or_default();
            if name.to_string_lossy().contains("hands-shared") {
                let file = std::fs::File::options().write(true).open(&path).unwrap();
                refused += u32::from(std::os::unix::fs::FileExt::write_at(&file, b"X", 0).is_err());
                refused += u32::from(file.set_len(1).is_err());
            }
        }
        (refused, bytes.to_vec())
    };
    let (refused, seen) = process::spawn(change, bytes.clone())
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(
        (refused, seen.as_slice(), &bytes[..]),
        (2, &b"fixed"[..], &b"fixed"[..])
    );
}
