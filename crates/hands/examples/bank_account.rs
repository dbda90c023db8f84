//! A bank account that never loses a deposit, and one that does.
//!
//! ```console
//! $ cargo run --release --example bank_account
//! ```
//!
//! A hundred threads deposit ten thousand times each into one account. A deposit reads the balance,
//! works on it, and writes it back. Where nothing keeps the others out meanwhile, two threads read
//! the same balance and one of the two deposits is gone. Each kind of lock keeps them all.

#![expect(clippy::print_stdout, reason = "what it prints is what it is for")]

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use hands::queue::Queue;
use hands::sync::{Mutex, ReentrantMutex, RwLock, Semaphore};

const THREADS: u64 = 100;
const DEPOSITS: u64 = 10_000;

/// An account whose balance is read and written in two steps.
#[derive(Default)]
struct Account {
    balance: AtomicU64,
}

impl Account {
    fn deposit(&self, amount: u64) {
        let balance = self.balance.load(Ordering::Relaxed);
        // Here another thread may read the same balance.
        self.balance.store(balance + amount, Ordering::Relaxed);
    }
}

/// Calls `deposit` from all threads.
fn deposits(deposit: impl Fn() + Sync) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..DEPOSITS).for_each(|_| deposit()));
        }
    });
}

fn show(how: &str, balance: u64) {
    let lost = THREADS * DEPOSITS - balance;
    println!("{how:<24}{balance:>9}   {lost} lost");
}

fn main() {
    // The scheduler decides how much is lost; on one core it can be nothing, so it gets a few
    // tries.
    let mut balance = 0;
    for _ in 0..20 {
        let account = Account::default();
        deposits(|| account.deposit(1));
        balance = account.balance.into_inner();
        if balance < THREADS * DEPOSITS {
            break;
        }
    }
    show("no lock", balance);

    let account = Mutex::new(0);
    deposits(|| *account.lock() += 1);
    show("Mutex", account.into_inner());

    let account = RwLock::new(0);
    deposits(|| *account.write() += 1);
    show("RwLock", account.into_inner());

    let account = ReentrantMutex::new(Cell::new(0));
    deposits(|| {
        let balance = account.lock();
        balance.set(balance.get() + 1);
    });
    show("ReentrantMutex", account.into_inner().get());

    let account = Account::default();
    let counter = Semaphore::bounded(1);
    deposits(|| {
        let _turn = counter.acquire();
        account.deposit(1);
    });
    show("Semaphore of 1", account.balance.into_inner());

    // Or no lock at all: one thread has the account, the others send it their deposits.
    let queue = Queue::bounded(1024);
    let balance = thread::scope(|scope| {
        let clerk = scope.spawn(|| queue.iter().sum());
        deposits(|| queue.put(1).expect("the bank is open"));
        queue.shutdown(hands::queue::Shutdown::Drain);
        clerk.join().expect("the clerk only adds")
    });
    show("a queue and a clerk", balance);
}
