//! A pool, watched.

use std::sync::Barrier;

use hands::pool::{Pool, ThreadPool};

#[test]
fn a_pools_page_shows_its_counts_and_its_end() {
    /// The first two meet, so each worker has one.
    static MEET: Barrier = Barrier::new(2);
    fn square_unless_odd(n: u64) -> u64 {
        if n < 2 {
            MEET.wait();
        }
        assert!(n.is_multiple_of(2), "{n} is odd");
        n * n
    }
    let pool = ThreadPool::with_workers(2).unwrap();
    let page = hands_web::serve(&pool).unwrap();
    let outcomes = Pool::map(&pool, square_unless_odd, 0..100).chunk(1);
    assert_eq!(outcomes.filter(Result::is_err).count(), 50);
    pool.join();
    let state: serde_json::Value = serde_json::from_str(&page.state()).unwrap();
    assert_eq!(state["finished"], 100);
    assert_eq!(state["failed"], 50);
    assert_eq!(state["phase"], "idle");
    assert_eq!(state["workers"], 2);
    assert_eq!(state["lists"]["failed"], 50);
    assert_eq!(state["lists"]["finished"], 50);
    assert_eq!(state["lists"]["running"], 0);
    assert_eq!(state["lanes"].as_array().unwrap().len(), 2);
    assert!(state["ran"][0].as_f64().unwrap() > 0.0);
    drop(pool);
    let state: serde_json::Value = serde_json::from_str(&page.state()).unwrap();
    assert_eq!(state["phase"], "done");
    assert_eq!(state["finished"], 100);
}

#[test]
fn a_million_tasks_and_ten_thousand_workers_fit_into_a_state_of_bounded_size() {
    use hands::event::TaskEnd;
    use hands_web::{End, Ledger, List, RowOrder};
    let mut ledger = Ledger::new("many");
    for id in 0..1_000_000_u64 {
        ledger.started(
            id,
            "a command that has a name of usual length",
            (id % 10_000) as u32,
        );
        if id >= 10_000 {
            let how = if id.is_multiple_of(3) {
                TaskEnd::Failed
            } else {
                TaskEnd::Well
            };
            ledger.finished(
                id - 10_000,
                "",
                End::new(how, std::time::Duration::from_millis(1)),
            );
        }
    }
    let state = serde_json::to_string(&ledger.frame()).unwrap();
    assert!(state.len() < 64 << 10, "{} bytes", state.len());
    let rows = serde_json::to_value(ledger.rows(List::Running, RowOrder::Time, 5_000, usize::MAX))
        .unwrap();
    assert_eq!(rows["total"], 10_000);
    assert_eq!(rows["rows"].as_array().unwrap().len(), 500);
    let rows = serde_json::to_value(ledger.rows(List::Failed, RowOrder::Number, 0, 10)).unwrap();
    assert_eq!(rows["total"], 10_000);
}

#[test]
fn of_a_million_that_run_as_many_are_listed_as_anybody_looks_through() {
    use hands_web::{End, Ledger, List, RowOrder};
    let mut ledger = Ledger::new("many");
    for id in 0..1_000_000_u64 {
        ledger.started(id, "sleep", u32::try_from(id).unwrap());
    }
    let state = serde_json::to_string(&ledger.frame()).unwrap();
    assert!(state.len() < 64 << 10, "{} bytes", state.len());
    let rows = serde_json::to_value(ledger.rows(List::Running, RowOrder::Time, 0, 1)).unwrap();
    assert_eq!(rows["total"], 20_000);
    for id in 0..1_000_000_u64 {
        let end = End::new(
            hands::event::TaskEnd::Well,
            std::time::Duration::from_secs(1),
        );
        ledger.finished(id, "sleep", end);
    }
    let rows = serde_json::to_value(ledger.rows(List::Running, RowOrder::Number, 0, 1)).unwrap();
    assert_eq!(rows["total"], 0);
}

/// Foreign code behind a page, which does not behave.
struct Unruly {
    updates: u32,
    hold: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
    entered: std::sync::mpsc::Sender<()>,
}

impl hands_web::Source for Unruly {
    fn update(&mut self, ledger: &mut hands_web::Ledger) {
        self.updates += 1;
        assert!(self.updates < 2, "enough of it");
        ledger.note("the first");
    }

    fn act(
        &mut self,
        _: hands_web::Action,
        _: &mut hands_web::Ledger,
    ) -> Result<String, hands_web::Refused> {
        self.entered.send(()).unwrap();
        // For ever, as far as the page knows.
        let _ = self.hold.lock().unwrap().recv();
        Ok(String::new())
    }
}

#[test]
fn a_source_that_panics_costs_the_news_and_one_that_hangs_not_the_end() {
    use std::io::Write;
    let (release, hold) = std::sync::mpsc::channel();
    let (entered, has_entered) = std::sync::mpsc::channel();
    let hold = std::sync::Mutex::new(hold);
    let source = Unruly {
        updates: 0,
        hold,
        entered,
    };
    let ledger = hands_web::Ledger::new("unruly");
    let page = hands_web::Page::open(hands_web::PageOptions::new(), ledger, source).unwrap();
    for _ in 0..2 {
        let state = page.state();
        assert!(
            state.contains("the first") && state.contains("has panicked"),
            "{state}"
        );
    }
    let mut socket = std::net::TcpStream::connect(page.address()).unwrap();
    let body = r#"{"do":"pause"}"#;
    let head = format!(
        "POST /act HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        page.address(),
        page.token(),
        body.len(),
    );
    socket.write_all(head.as_bytes()).unwrap();
    has_entered.recv().unwrap();
    // Whoever asks meanwhile is told what was known.
    assert!(page.state().contains("the first"));
    page.close();
    drop(release);
}

/// Has its own page, asks it, and drops it; and panics wherever else it is called.
struct Owner {
    page: std::sync::Arc<std::sync::Mutex<Option<hands_web::Page>>>,
    panics: bool,
    told: std::sync::mpsc::Sender<&'static str>,
}

impl hands_web::Source for Owner {
    fn update(&mut self, _: &mut hands_web::Ledger) {
        let own = self.page.lock().unwrap().take();
        if let Some(page) = own {
            assert!(page.state().contains("owner"));
            drop(page);
            self.told.send("has dropped its page").unwrap();
        }
    }

    fn verbs(&self) -> Vec<hands_web::Verb> {
        assert!(!self.panics, "nothing can be done");
        Vec::new()
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.told.send("is dropped").unwrap();
        panic!("it does not want to end");
    }
}

#[test]
fn a_source_may_ask_and_drop_its_own_page_and_panic_wherever_it_is_called() {
    for panics in [false, true] {
        let (told, hear) = std::sync::mpsc::channel();
        let page = std::sync::Arc::default();
        let source = Owner {
            page: std::sync::Arc::clone(&page),
            panics,
            told,
        };
        let ledger = hands_web::Ledger::new("owner");
        let own = hands_web::Page::open(hands_web::PageOptions::new(), ledger, source).unwrap();
        assert_eq!(own.state().contains("has panicked"), panics);
        if panics {
            own.close();
        } else {
            *page.lock().unwrap() = Some(own);
            assert_eq!(hear.recv(), Ok("has dropped its page"));
        }
        assert_eq!(hear.recv(), Ok("is dropped"));
    }
}

#[test]
fn texts_that_deceive_are_shown_as_what_they_are() {
    use hands::event::TaskEnd;
    use hands_web::{End, Ledger, List, RowOrder};
    let mut ledger = Ledger::new("exe\u{202e}cod");
    ledger.note("\u{1b}[2Jgone");
    ledger.started(1, "exe\u{202e}cod 👩\u{200d}👧\nsecond line", 0);
    let mut end = End::new(TaskEnd::Failed, std::time::Duration::ZERO);
    end.why = "\u{2066}why".to_owned();
    end.tail = "one\n\ttwo \u{9b}31m".to_owned();
    ledger.finished(1, "", end);
    let state = serde_json::to_value(ledger.frame()).unwrap();
    assert_eq!(state["title"], "exe\u{fffd}cod");
    assert_eq!(state["notes"][0], "\u{fffd}[2Jgone");
    let rows = serde_json::to_value(ledger.rows(List::Failed, RowOrder::Number, 0, 1)).unwrap();
    let row = &rows["rows"][0];
    assert_eq!(row["name"], "exe\u{fffd}cod 👩\u{200d}👧\nsecond line");
    assert_eq!(row["why"], "\u{fffd}why");
    assert_eq!(row["tail"], "one\n\ttwo \u{fffd}31m");
}
