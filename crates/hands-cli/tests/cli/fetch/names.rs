//! What `-o` names may be anything, what a server names replaces nothing, and part and state files
//! give nothing away.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

use super::files;
use super::server::{Server, noise};
use crate::stage::Stage;

#[test]
fn a_device_or_a_pipe_is_written_to_and_stays_what_it_is() {
    let server = Server::new(|_, out| out.answer("200 OK", &[], b"all of it"));
    let stage = Stage::new();
    stage
        .shell("mkfifo pipe && cat pipe > copy & $HANDS fetch -q -o pipe \"$URL\" && wait")
        .env("URL", server.url("/x"))
        .end()
        .with_code(0);
    assert_eq!(stage.text("copy"), "all of it");
    let kind = fs::symlink_metadata(stage.path("pipe"))
        .expect("a pipe")
        .file_type();
    assert!(kind.is_fifo());
    stage
        .fetch(&[&server.url("/x"), "-o", "/dev/null"])
        .end()
        .with_code(0);
    let null = fs::symlink_metadata("/dev/null")
        .expect("a device")
        .file_type();
    assert!(null.is_char_device());
    let ended = stage
        .fetch(&[&server.url("/x"), "-q", "-o", "/dev/stdout"])
        .end()
        .with_code(0);
    assert_eq!(ended.out(), "all of it");
    // Nobody reads it: that ends in the time that is given.
    stage
        .fetch(&[&server.url("/x"), "-o", "pipe", "--max-time", "0.2"])
        .end()
        .with_code(1)
        .says("longer than 0.2 s");
}

#[test]
fn a_folder_is_an_error_before_anything_is_asked() {
    let server = Server::new(|_, out| out.answer("200 OK", &[], b"x"));
    let stage = Stage::new();
    fs::create_dir(stage.path("d")).expect("a folder");
    stage
        .fetch(&[&server.url("/x"), "-o", "d"])
        .end()
        .with_code(1)
        .says("`d` is a folder");
    assert!(server.asked().is_empty());
}

#[test]
fn a_name_of_the_server_replaces_nothing_and_is_given_in_the_order_of_the_list() {
    let (others, wait) = std::sync::mpsc::sync_channel::<()>(10);
    let wait = std::sync::Mutex::new(wait);
    let server = Server::new(move |asked, out| {
        // The first comes last.
        let is_first = asked.path.ends_with('1');
        for _ in 0..if is_first && asked.before == 0 { 2 } else { 0 } {
            let wait = wait.lock().expect("no panic");
            wait.recv().expect("another request");
        }
        let named = [("Content-Disposition", "attachment; filename=\"name\"")];
        out.answer("200 OK", &named, asked.path.as_bytes());
        if !is_first {
            others.send(()).expect("room");
        }
    });
    let stage = Stage::new();
    stage.write("name", "mine");
    let url = server.url("/dl?[1-3]");
    stage
        .fetch(&[&url, "--content-disposition"])
        .end()
        .with_code(0);
    assert_eq!(stage.text("name"), "mine");
    for number in 1..=3 {
        assert_eq!(
            stage.text(&format!("name.{number}")),
            format!("/dl?{number}")
        );
    }
    // Kept, and not asked for again under other names.
    stage
        .fetch(&[
            &server.url("/dl?1"),
            "--content-disposition",
            "--no-clobber",
        ])
        .end()
        .with_code(0)
        .says("1 skipped");
    assert_eq!(
        files(stage.folder()),
        ["name", "name.1", "name.2", "name.3"]
    );
}

#[test]
fn what_a_server_named_is_taken_up_and_asked_about() {
    let body = noise(300_000, 4);
    let own = body.clone();
    let server = Server::new(move |asked, out| {
        let headers = [
            ("Content-Disposition", "attachment; filename=\"name\""),
            ("ETag", "\"1\""),
            ("Last-Modified", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ];
        if asked.before == 0 {
            out.begin("200 OK", &headers, Some(own.len() as u64));
            out.body(&own[..200_000]);
            return out.close();
        }
        match asked.range() {
            Some((first, _)) => {
                let range = format!("bytes {first}-{}/{}", own.len() - 1, own.len());
                let headers = [
                    headers[0],
                    headers[1],
                    headers[2],
                    ("Content-Range", &range),
                ];
                out.answer("206 Partial Content", &headers, &own[first as usize..]);
            }
            None => out.answer("200 OK", &headers, &own),
        }
    });
    let stage = Stage::new();
    let words = ["--content-disposition", "-N", "--retry-delay", "0.01"];
    let url = server.url("/dl");
    let all = [&[url.as_str()][..], &words].concat();
    stage
        .fetch(&[&all[..], &["--retries", "1"]].concat())
        .end()
        .with_code(1);
    stage.fetch(&all).end().with_code(0);
    assert!(stage.bytes("name") == body);
    let asked = server.asked();
    assert!(
        asked
            .last()
            .expect("a request")
            .range()
            .is_some_and(|(first, _)| first > 100_000)
    );
    assert_eq!(files(stage.folder()), ["name"]);
    stage.fetch(&all).end().with_code(0).says("1 unchanged");
    assert_eq!(files(stage.folder()), ["name"]);
}

#[test]
fn a_name_of_255_bytes_is_a_name() {
    let server = Server::new(|asked, out| {
        out.file(asked, &noise(100_000, 1), "\"1\"");
    });
    let stage = Stage::new();
    let name = "n".repeat(255);
    stage
        .fetch(&[&server.url("/x"), "-o", &name])
        .end()
        .with_code(0);
    assert_eq!(files(stage.folder()), [name]);
}

#[test]
fn no_link_is_followed_and_nothing_is_opened_wider() {
    let server = Server::new(|asked, out| match asked.before {
        0 => {
            out.begin("200 OK", &[("ETag", "\"1\"")], Some(200_000));
            out.body(&[b'a'; 100_000]);
            out.close();
        }
        _ => out.file(asked, &[b'a'; 200_000], "\"1\""),
    });
    let stage = Stage::new();
    stage.write("mine", "mine");
    stage.write("x", "private");
    fs::set_permissions(stage.path("x"), fs::Permissions::from_mode(0o600)).expect("its mode");
    symlink("mine", stage.path("x.part.state.new")).expect("a link");
    let mode = |name: &str| {
        fs::metadata(stage.path(name))
            .expect(name)
            .permissions()
            .mode()
            & 0o777
    };
    let url = server.url("/x").replace("http://", "http://me:secret@");
    stage.fetch(&[&url, "--retries", "1"]).end().with_code(1);
    assert_eq!((mode("x.part"), mode("x.part.state")), (0o600, 0o600));
    assert!(!stage.text("x.part.state").contains("secret"));
    stage.fetch(&[&url]).end().with_code(0);
    assert_eq!((mode("x"), stage.text("mine").as_str()), (0o600, "mine"));
    symlink("mine", stage.path("y.part")).expect("a link");
    stage
        .fetch(&[&server.url("/y")])
        .end()
        .with_code(1)
        .says("y.part");
    assert_eq!(stage.text("mine"), "mine");
}

#[test]
fn a_list_chooses_folders_within_that_for_downloads() {
    let server = Server::new(|asked, out| out.answer("200 OK", &[], asked.path.as_bytes()));
    let stage = Stage::new();
    let inside = stage.path("in").display().to_string();
    stage.write(
        "urls",
        format!(
            "{0}/a\n  dir=d/e\n{0}/b\n  dir={inside}/f\n  out=c\n{0}/c\n  dir=../x\n{0}/d\n  dir=/etc\n",
            server.url("")
        ),
    );
    let ended = stage
        .fetch(&["-i", "urls", "--dir", &inside])
        .end()
        .with_code(2);
    assert_eq!(ended.stderr.matches("leads out of the folder").count(), 2);
    assert_eq!(stage.text("in/d/e/a"), "/a");
    assert_eq!(stage.text("in/f/c"), "/b");
}
