//! A pool with something to do, and a page to watch it.
//!
//! ```text
//! cargo run -p hands-web --example watched [SECONDS]
//! ```
#![allow(clippy::print_stdout, reason = "it is a program")]
#![allow(
    clippy::disallowed_methods,
    reason = "its tasks have to wait for something"
)]

use std::time::{Duration, Instant};

use hands::pool::ThreadPool;

/// Computes a little, waits a little, and does not always succeed.
fn work(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(20 + n % 80));
    assert!(n % 50 != 7, "{n} is not to my liking");
    (0..200_000).fold(n, |sum, n| sum.wrapping_mul(31).wrapping_add(n))
}

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let seconds = std::env::args()
        .nth(1)
        .map_or(Ok(60), |text| text.parse())?;
    let pool = ThreadPool::builder().workers(12).build()?;
    let page = hands_web::serve(&pool)?;
    println!("watch it at {}", page.link());
    let until = Instant::now() + Duration::from_secs(seconds);
    let numbers = (0..).take_while(|_| Instant::now() < until);
    let ended = pool.map(work, numbers).filter(Result::is_ok).count();
    println!("{ended} ended well");
    Ok(())
}
