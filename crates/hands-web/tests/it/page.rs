//! The page, in a real browser.

use std::time::Duration;

use hands::event::TaskEnd;
use hands_web::{Action, End, Phase, Verb};

use crate::browser::Browser;
use crate::scripted::{ALL, Script};

#[test]
fn it_shows_figures_charts_workers_and_lists() {
    let script = Script::new(&ALL);
    script.busy(8, 20);
    let page = script.serve("convert");
    let browser = Browser::open(page.link());
    browser.until_text("#phase", "running");
    assert_eq!(browser.text("#title"), "convert");
    browser.until_text("#summary", "120 of 1,000 ended, 20 failed");
    browser.until_text("#sizing", "8 jobs at once, as it was set");
    browser.until("return document.querySelectorAll('.uplot canvas').length === 2");
    browser.until("return document.querySelector('#timeline').height > 0");
    browser.until("return document.querySelectorAll('#rows li').length === 8");
    assert_eq!(browser.js("return location.search"), "");
    // It moves.
    script.overview(|overview| overview.finished = 500);
    browser.until_text("#summary", "500 of 1,000 ended");
    browser.until("return document.querySelector('#whole').value === 0.5");
    browser.picture("page-light");
    browser.dark();
    browser.until("return getComputedStyle(document.body).backgroundColor === 'rgb(16, 22, 28)'");
    browser.picture("page-dark");
    browser.narrow();
    assert_eq!(browser.js("return innerWidth"), 360);
    assert_eq!(
        browser.js("return document.documentElement.scrollWidth"),
        360
    );
    browser.picture("page-narrow");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn what_failed_says_why_and_what_it_wrote() {
    let script = Script::new(&ALL);
    script.busy(2, 3);
    let page = script.serve("convert");
    let browser = Browser::open(page.link());
    browser.until_text("#tab-failed", "3");
    browser.click("#tab-failed");
    browser.until("return document.querySelectorAll('#rows li').length === 3");
    browser.until_text("#rows li .state", "failed with exit code 3");
    browser.click("#rows li .name");
    browser.until("return document.querySelector('#detail').open");
    assert!(
        browser
            .text("#detail-why")
            .contains("failed with exit code 3")
    );
    assert!(browser.text("#detail-tail").contains(".png: no such file"));
    browser.picture("page-failure");
    browser.click("#detail button");
    browser.until("return !document.querySelector('#detail').open");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn buttons_and_keys_pause_cancel_retry_and_stop() {
    let script = Script::new(&ALL);
    script.busy(3, 2);
    let page = script.serve("convert");
    let browser = Browser::open(page.link());
    browser.until_text("#phase", "running");
    browser.click("#pause");
    browser.until_text("#phase", "paused");
    browser.until_text("#pause", "Resume");
    browser.write("body", "p");
    browser.until_text("#phase", "running");
    browser.until("return document.querySelectorAll('#rows li').length === 3");
    browser.click("#rows li:nth-child(1) .do button");
    browser.until_text("#news", "it is done");
    browser.click("#rows li:nth-child(2) .do button");
    browser.until_text("#news", "501 has just ended");
    browser.click("#tab-failed");
    browser.until("return document.querySelector('#rows li .do button')?.textContent === 'Retry'");
    browser.click("#rows li .do button");
    browser.until_text("#news", "it is done");
    browser.click("#retry");
    browser.until("return !document.querySelector('#retry').disabled");
    browser.click("#stop");
    browser.until("return document.querySelector('#stopping').open");
    browser.click("#stopping button[value=now]");
    browser.until_text("#phase", "stopping");
    let done = script.actions();
    let expected = [
        Action::Pause,
        Action::Resume,
        Action::Cancel { id: 500 },
        Action::Cancel { id: 501 },
        Action::Retry { id: 1 },
        Action::RetryFailed,
        Action::Stop { now: true },
    ];
    assert_eq!(done, expected);
    // The browser says so of each answer that is no success: one was refused.
    let complaints = browser.complaints();
    assert!(
        complaints.len() == 1 && complaints[0].contains("409"),
        "{complaints:?}"
    );
}

#[test]
fn about_answers_while_an_action_takes_its_time() {
    let script = Script::new(&ALL);
    script.busy(1, 0);
    let page = script.serve("convert");
    let browser = Browser::open(page.link());
    browser.until_text("#phase", "running");
    // Whoever has the ledger now keeps the server from answering.
    let (entered, wait) = std::sync::mpsc::channel::<()>();
    let (leave, left) = std::sync::mpsc::channel::<()>();
    script.change(move |_| {
        entered.send(()).unwrap();
        left.recv().unwrap();
    });
    wait.recv().unwrap();
    browser.click("#about");
    browser.until("return document.querySelector('#about-text').open");
    leave.send(()).unwrap();
    browser.click("#about-text button");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn names_reasons_and_output_are_text_whatever_they_look_like() {
    const HOSTILE: &str = "<img src=x onerror=\"document.title='broken'\"><script>document.title='broken'</script>\u{202e}\u{0}\"'`${1}</ul></dialog>";
    let script = Script::new(&ALL);
    script.overview(|overview| {
        overview.phase = Phase::Running;
        overview.sizing = HOSTILE.to_owned();
    });
    script.change(|ledger| {
        ledger.note(HOSTILE);
        ledger.started(1, HOSTILE, 1);
        ledger.started(2, HOSTILE, 2);
        let mut end = End::new(TaskEnd::Failed, Duration::from_secs(1));
        end.why = HOSTILE.to_owned();
        end.tail = HOSTILE.to_owned();
        ledger.finished(2, "", end);
    });
    let page = script.serve(HOSTILE);
    let browser = Browser::open(page.link());
    browser.until_text("#sizing", "onerror");
    browser.until_text("#rows .name", "</ul></dialog>");
    browser.click("#tab-failed");
    browser.until_text("#rows button.name", "</ul></dialog>");
    browser.click("#rows button.name");
    browser.until_text("#detail-tail", "</script>");
    browser.until_text("#notes", "onerror");
    assert_eq!(
        browser.js("return document.querySelectorAll('img, body script, iframe').length"),
        0
    );
    assert!(
        browser
            .js("return document.title")
            .as_str()
            .unwrap()
            .starts_with("<img")
    );
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn ten_thousand_rows_are_as_many_elements_as_fit_on_the_screen() {
    let script = Script::new(&ALL);
    script.busy(8, 0);
    script.change(|ledger| {
        for id in 10_000..20_000 {
            ledger.started(id, &format!("task {id}"), id as u32);
        }
    });
    let page = script.serve("many");
    let browser = Browser::open(page.link());
    browser.until_text("#tab-running", "10,008");
    browser.until("return document.querySelectorAll('#rows li').length > 5");
    browser.js("document.querySelector('#list').scrollTop = 1e9; return 1");
    browser.until("return [...document.querySelectorAll('#rows .name')].some((name) => name.textContent === 'task 19999')");
    let elements = browser.js("return document.querySelectorAll('#rows li').length");
    assert!(elements.as_u64().unwrap() < 60, "{elements}");
    browser.picture("page-many");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn the_end_of_the_program_is_told_and_its_last_state_stays() {
    let script = Script::new(&ALL);
    script.busy(0, 2);
    let page = script.serve("convert");
    let browser = Browser::open(page.link());
    browser.until_text("#phase", "running");
    script.overview(|overview| {
        overview.phase = Phase::Done;
        overview.finished = 1000;
        overview.waiting = 0;
    });
    page.close();
    browser.until_text("#news", "The program has ended");
    assert_eq!(browser.text("#phase"), "done");
    assert!(browser.text("#summary").contains("1,000 of 1,000 ended"));
    assert_eq!(
        browser.js("return document.querySelector('#pause').hidden"),
        true
    );
    browser.click("#tab-failed");
    browser.until_text("#rows li .state", "failed with exit code 3");
    browser.click("#rows button.name");
    browser.until_text("#detail-tail", ".png: no such file");
    browser.click("#detail button");
    browser.picture("page-done");
    assert_eq!(browser.complaints_at_the_end(), [""; 0]);
}

#[test]
fn two_tabs_share_one_stream_and_one_goes_on_when_the_other_is_closed() {
    let script = Script::new(&ALL);
    script.busy(2, 0);
    let page = script.serve("convert");
    let browser = Browser::open(page.link());
    browser.until_text("#phase", "running");
    let first = browser.this();
    let own = format!("http://{}/", page.address());
    let second = browser.tab(&own);
    browser.until_text("#phase", "running");
    script.overview(|overview| overview.finished = 111);
    browser.until_text("#summary", "111 of");
    browser.to(&first);
    browser.until_text("#summary", "111 of");
    browser.close_tab();
    browser.to(&second);
    script.overview(|overview| overview.finished = 222);
    browser.until_text("#summary", "222 of");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn everybody_can_use_it() {
    let script = Script::new(&[
        Verb::Add,
        Verb::Pause,
        Verb::Stop,
        Verb::Cancel,
        Verb::RetryFailed,
        Verb::Remove,
    ]);
    script.busy(8, 20);
    let page = script.serve("convert");
    let browser = Browser::open(page.link());
    browser.until("return document.querySelectorAll('#rows li').length === 8");
    browser.until("return document.querySelector('#timeline').height > 0");
    assert_eq!(browser.obstacles(), [""; 0]);
    browser.click("#tab-failed");
    browser.until("return document.querySelectorAll('#rows li').length > 5");
    assert_eq!(browser.obstacles(), [""; 0]);
    browser.dark();
    browser.until("return getComputedStyle(document.body).backgroundColor === 'rgb(16, 22, 28)'");
    assert_eq!(browser.obstacles(), [""; 0]);
    // With the keyboard alone.
    browser.write("body", "3");
    browser.until("return document.activeElement.id === 'tab-failed'");
    browser.write("#tab-failed", "\u{e012}");
    browser.until("return document.activeElement.id === 'tab-waiting'");
}
