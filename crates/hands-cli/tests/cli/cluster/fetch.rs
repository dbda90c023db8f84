//! A list of downloads, spread over workers.

use super::Machines;
use crate::fetch::server::Server;

fn server() -> Server {
    Server::new(|asked, out| match asked.path.as_str() {
        "/missing" => out.answer("404 Not Found", &[], b"no"),
        path => {
            let body = format!("this is {path}\n");
            out.answer("200 OK", &[], body.as_bytes());
        }
    })
}

fn list(server: &Server) -> String {
    let mut list: String = (0..40)
        .map(|n| format!("{}\n", server.url(&format!("/f{n}"))))
        .collect();
    // A name that another has, one of its own, and one that is not there.
    list += &format!("{}\n", server.url("/other/f1"));
    list += &format!("{}\n  out=own/name\n", server.url("/f99"));
    list += &format!("{}\n", server.url("/missing"));
    list
}

#[test]
fn a_list_is_spread_over_workers_and_each_file_has_the_name_it_would_have_here() {
    let (machines, server) = (Machines::new(), server());
    let _workers = ["a", "b"].map(|name| machines.worker(name, &["-j2", "--allow", "hands"]));
    machines.stage.write("list", list(&server));
    for (folder, more) in [("shared", &[][..]), ("returned", &["--return"])] {
        let words = [
            "fetch",
            "--cluster",
            &machines.url,
            "-i",
            "list",
            "--dir",
            folder,
            "--failed",
            "failed",
        ];
        let words: Vec<&str> = words.iter().chain(more).copied().collect();
        let ended = machines.hands(&words).end().with_code(1);
        assert!(ended.stderr.contains("42 ok, 1 failed"), "{}", ended.stderr);
        assert!(ended.stderr.contains("/missing: "), "{}", ended.stderr);
        let failed = format!("{}\n  out=missing\n", server.url("/missing"));
        assert_eq!(machines.stage.text("failed"), failed);
        let text = |name: &str| machines.stage.text(&format!("{folder}/{name}"));
        assert_eq!(text("f1"), "this is /f1\n");
        assert_eq!(text("f1.1"), "this is /other/f1\n");
        assert_eq!(text("own/name"), "this is /f99\n");
        assert_eq!(
            std::fs::read_dir(machines.stage.path(folder))
                .expect("it")
                .count(),
            42
        );
    }
}

#[test]
fn an_owner_who_does_not_allow_it_fetches_nothing() {
    let (machines, server) = (Machines::new(), server());
    let _worker = machines.worker("a", &["--allow", "echo"]);
    let url = server.url("/f1");
    let words = ["fetch", "--cluster", &machines.url, &url];
    let ended = machines.hands(&words).end().with_code(1);
    assert!(ended.stderr.contains("and not `hands`"), "{}", ended.stderr);
    assert!(server.asked().is_empty());
    let words = ["fetch", "--cluster", &machines.url, &url, "-o", "x"];
    machines.hands(&words).end().with_code(255);
}
