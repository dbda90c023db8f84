//! Which sizes to try, and what to make of what they did. Only calculates.

use std::fmt::Write as _;
use std::time::Duration;

use super::measure::Measured;

/// A size that does this much of what the best does is as good.
const AS_GOOD: f64 = 0.95;

/// Below this share of their time jobs hardly use the CPU.
const HARDLY: f64 = 0.01;

/// What is known of the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) cores: usize,
    /// Never more at once than this.
    pub(super) most: usize,
}

/// The next size to try: 1, one for each core, and then twice as many while that did more; and last
/// what the formula says, where that lies in between.
pub(super) fn next_size(tried: &[Measured], bounds: Bounds) -> Option<usize> {
    let Some(last) = tried.last() else {
        return Some(1);
    };
    let largest = tried.iter().map(|one| one.size).max().unwrap_or(1);
    // The formula's own size is smaller than the largest, and is the last word.
    if last.size < largest {
        return None;
    }
    let smaller = tried.iter().filter(|one| one.size < largest);
    let best = smaller.map(|one| one.rate).fold(0.0, f64::max);
    let helped = last.rate > best / AS_GOOD;
    let twice = if largest < bounds.cores {
        bounds.cores
    } else {
        2 * largest
    };
    if helped && largest < bounds.most {
        return Some(twice.min(bounds.most));
    }
    let target = target(tried.first()?, bounds.cores)?.round();
    // `as` saturates.
    let target = target as usize;
    let is_new = tried.iter().all(|one| one.size != target);
    (is_new && (1..largest).contains(&target)).then_some(target)
}

/// N x (x + y) / x: how many fill the cores. `None`: jobs hardly use them.
fn target(one: &Measured, cores: usize) -> Option<f64> {
    let (x, y) = (one.cpu.as_secs_f64(), one.wait.as_secs_f64());
    (x > HARDLY * (x + y)).then(|| cores as f64 * (x + y) / x)
}

/// The smallest size that is as good as the best.
pub(super) fn choice(tried: &[Measured]) -> Option<&Measured> {
    let best = tried.iter().map(|one| one.rate).fold(0.0, f64::max);
    let good = tried.iter().filter(|one| one.rate >= AS_GOOD * best);
    good.min_by_key(|one| one.size)
}

pub(super) const HEADER: &str =
    " at once      jobs/s   a job takes     CPU (x)  waiting (y)   for a core\n";

pub(super) fn row(one: &Measured) -> String {
    format!(
        "{:>8}  {:>10}  {:>12}  {:>10}  {:>11}  {:>11}\n",
        one.size,
        figure(one.rate),
        time(one.wall),
        time(one.cpu),
        time(one.wait),
        time(one.delay),
    )
}

/// What to do, and why, in sentences. `given`: the sizes were chosen by the user.
pub(super) fn advice(tried: &[Measured], bounds: Bounds, given: bool) -> String {
    let (Some(first), Some(choice)) = (tried.iter().min_by_key(|one| one.size), choice(tried))
    else {
        return String::new();
    };
    let cores = bounds.cores;
    let s = if cores == 1 { "" } else { "s" };
    let target = target(first, cores);
    let mut text = match target {
        Some(target) => {
            let (x, y) = (time(first.cpu), time(first.wait));
            format!(
                "A job uses the CPU for x = {x} and waits for y = {y},\nso {cores} core{s} x (x + y) / x = {} at once would fill the core{s}.\n",
                figure(target)
            )
        }
        None => format!(
            "A job hardly uses the CPU ({} of {}): the core{s} set no bound.\n",
            time(first.cpu),
            time(first.wall)
        ),
    };
    let best = tried.iter().map(|one| one.rate).fold(0.0, f64::max);
    let largest = tried.iter().map(|one| one.size).max().unwrap_or(1);
    let _ = match 100.0 * (1.0 - choice.rate / best) {
        less if less < 0.5 => writeln!(text, "{} at once did the most.", choice.size),
        less => writeln!(
            text,
            "{} at once did within {less:.0} % of the most.",
            choice.size
        ),
    };
    let is_short = target.is_none_or(|target| 1.5 * (choice.size as f64) < target);
    let is_open = target.is_none_or(|target| target > 1.2 * largest as f64);
    if choice.size == largest && is_open && (given || largest == bounds.most) {
        text.push_str("No greater number was tried; more may do better.\n");
    } else if choice.size < largest && is_short {
        text.push_str(
            "More did no more, with cores to spare: these jobs wait for something that\nserves only so many at once, such as a disk, a lock or a server.\n",
        );
    }
    let _ = writeln!(text, "Use `-j {}`, or `-j auto`.", choice.size);
    text
}

/// Three digits.
fn figure(number: f64) -> String {
    match number {
        0.0 => "0".to_owned(),
        number if number < 10.0 => format!("{number:.2}"),
        number if number < 100.0 => format!("{number:.1}"),
        number => format!("{number:.0}"),
    }
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        seconds if seconds < 0.9995 => format!("{} ms", figure(1e3 * seconds)),
        seconds => format!("{} s", figure(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Bounds = Bounds { cores: 2, most: 64 };

    fn ms(ms: f64) -> Duration {
        Duration::from_secs_f64(ms / 1e3)
    }

    /// What jobs of `x` and `y` do at this size where nothing but two cores, and `scarce` of
    /// something else, is scarce.
    fn at(size: usize, x: f64, y: f64, scarce: f64) -> Measured {
        let alone = size as f64 / (x + y) * 1e3;
        Measured {
            size,
            jobs: 100,
            failed: 0,
            rate: alone.min(2e3 / x).min(scarce),
            wall: ms(x + y),
            cpu: ms(x),
            delay: Duration::ZERO,
            wait: ms(y),
        }
    }

    fn tried(x: f64, y: f64, scarce: f64) -> Vec<Measured> {
        let mut all = Vec::new();
        while let Some(size) = next_size(&all, TWO) {
            assert!(all.len() < 20);
            all.push(at(size, x, y, scarce));
        }
        all
    }

    fn sizes(all: &[Measured]) -> Vec<usize> {
        all.iter().map(|one| one.size).collect()
    }

    #[test]
    fn computing_jobs_are_tried_up_to_twice_the_cores() {
        let all = tried(10.0, 0.0, f64::MAX);
        assert_eq!(sizes(&all), [1, 2, 4]);
        assert_eq!(choice(&all).map(|one| one.size), Some(2));
        let told = advice(&all, TWO, false);
        assert!(
            told.contains("2 cores x (x + y) / x = 2.00 at once"),
            "{told}"
        );
        assert!(told.contains("Use `-j 2`, or `-j auto`."), "{told}");
        assert!(!told.contains("More did no more"), "{told}");
    }

    #[test]
    fn the_size_that_the_formula_says_is_tried_too() {
        let all = tried(2.0, 8.0, f64::MAX);
        assert_eq!(sizes(&all), [1, 2, 4, 8, 16, 32, 10]);
        assert_eq!(choice(&all).map(|one| one.size), Some(10));
        assert!(!advice(&all, TWO, false).contains("More did no more"));
    }

    #[test]
    fn waiting_jobs_are_tried_up_to_the_bound() {
        let all = tried(0.1, 99.9, f64::MAX);
        assert_eq!(sizes(&all), [1, 2, 4, 8, 16, 32, 64]);
        let told = advice(&all, TWO, false);
        assert!(
            told.contains("hardly uses the CPU (0.10 ms of 100 ms)"),
            "{told}"
        );
        assert!(told.contains("No greater number was tried"), "{told}");
    }

    #[test]
    fn something_scarce_is_told_from_the_cores() {
        let all = tried(2.0, 8.0, 150.0);
        assert_eq!(sizes(&all), [1, 2, 4]);
        assert_eq!(choice(&all).map(|one| one.size), Some(2));
        assert!(advice(&all, TWO, false).contains("More did no more, with cores to spare"));
    }

    #[test]
    fn one_core_is_tried_with_two() {
        let one = Bounds { cores: 1, most: 32 };
        let first = vec![at(1, 5.0, 5.0, f64::MAX)];
        assert_eq!(next_size(&first, one), Some(2));
    }

    #[test]
    fn nothing_measured_gives_no_advice() {
        assert_eq!(advice(&[], TWO, true), "");
    }

    #[test]
    fn figures_have_three_digits() {
        assert_eq!(
            [0.0, 0.1234, 9.87, 98.76, 1234.5].map(figure),
            ["0", "0.12", "9.87", "98.8", "1234"]
        );
        assert_eq!(
            [0.1, 999.4, 1000.0, 61_000.0].map(ms).map(time),
            ["0.10 ms", "999 ms", "1.00 s", "61.0 s"]
        );
    }
}
