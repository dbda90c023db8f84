//! A pool, watched.

use hands::pool::{Pool, ThreadPool};

#[test]
fn a_pools_page_shows_its_counts_and_its_end() {
    fn square_unless_odd(n: u64) -> u64 {
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
    use hands_web::{End, Ledger, List, Order};
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
    let rows =
        serde_json::to_value(ledger.rows(List::Running, Order::Time, 5_000, usize::MAX)).unwrap();
    assert_eq!(rows["total"], 10_000);
    assert_eq!(rows["rows"].as_array().unwrap().len(), 500);
    let rows = serde_json::to_value(ledger.rows(List::Failed, Order::Number, 0, 10)).unwrap();
    assert_eq!(rows["total"], 10_000);
}

#[test]
fn of_a_million_that_run_as_many_are_listed_as_anybody_looks_through() {
    use hands_web::{End, Ledger, List, Order};
    let mut ledger = Ledger::new("many");
    for id in 0..1_000_000_u64 {
        ledger.started(id, "sleep", u32::try_from(id).unwrap());
    }
    let state = serde_json::to_string(&ledger.frame()).unwrap();
    assert!(state.len() < 64 << 10, "{} bytes", state.len());
    let rows = serde_json::to_value(ledger.rows(List::Running, Order::Time, 0, 1)).unwrap();
    assert_eq!(rows["total"], 20_000);
    for id in 0..1_000_000_u64 {
        let end = End::new(
            hands::event::TaskEnd::Well,
            std::time::Duration::from_secs(1),
        );
        ledger.finished(id, "sleep", end);
    }
    let rows = serde_json::to_value(ledger.rows(List::Running, Order::Number, 0, 1)).unwrap();
    assert_eq!(rows["total"], 0);
}
