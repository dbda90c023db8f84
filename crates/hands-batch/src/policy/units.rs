//! Durations and sizes as GNU parallel writes them.

use std::time::Duration;

use super::InvalidRule;

/// Reads a duration: seconds (`10`, `2.5`), or numbers with units, largest first by habit (`1h30m`,
/// `1d3.5h`, `200ms`).
///
/// The units are `ms`, `s`, `m`, `h` and `d`, in either case.
///
/// # Errors
///
/// [`InvalidRule`] for anything else, a negative or an unrepresentable duration included.
///
/// ```
/// use std::time::Duration;
/// use hands_batch::policy::parse_duration;
/// assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
/// assert_eq!(parse_duration("2.5"), Ok(Duration::from_millis(2500)));
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, InvalidRule> {
    let invalid = || {
        InvalidRule::new(format!(
            "`{text}` is not a duration: give seconds (`10`, `2.5`) or units (`200ms`, `5m`, `1h30m`, `2d`)"
        ))
    };
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, after) = decimal(rest).ok_or_else(invalid)?;
        let unit_end = after
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        seconds += number
            * match unit.to_ascii_lowercase().as_str() {
                "" | "s" => 1.0,
                "ms" => 0.001,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                _ => return Err(invalid()),
            };
        rest = after;
    }
    if text.is_empty() {
        return Err(invalid());
    }
    // Whole nanoseconds of the nearest microsecond: 0.1 s is 100 ms, not 100.000000001 ms.
    Duration::try_from_secs_f64(seconds)
        .map(|exact| {
            Duration::from_micros(
                u64::try_from((exact.as_nanos() + 500) / 1000).unwrap_or(u64::MAX),
            )
        })
        .map_err(|_| invalid())
}

/// Reads a size in bytes: `65536`, `64K` or `64KiB` (1,024 each), `64k` (1,000 each); and so on
/// with `M`, `G`, `T` and `P`.
///
/// # Errors
///
/// [`InvalidRule`] for anything else, and for a size past 2⁶⁴ bytes.
///
/// ```
/// use hands_batch::policy::parse_size;
/// assert_eq!(parse_size("1.5K"), Ok(1536));
/// assert_eq!(parse_size("2m"), Ok(2_000_000));
/// ```
pub fn parse_size(text: &str) -> Result<u64, InvalidRule> {
    let invalid = || {
        InvalidRule::new(format!(
            "`{text}` is not a size: give bytes (`65536`) or a unit: `64K`, `10M`, `2G` count in 1024s, `64k`, `10m`, `2g` in 1000s"
        ))
    };
    let (number, unit) = decimal(text).ok_or_else(invalid)?;
    let letter = unit
        .strip_suffix("iB")
        .filter(|letter| letter.starts_with(|c: char| c.is_ascii_uppercase()))
        .unwrap_or(unit);
    let factor: u64 = match letter {
        "" | "B" if !unit.ends_with("iB") => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        "P" => 1 << 50,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        "p" => 1_000_000_000_000_000,
        _ => return Err(invalid()),
    };
    // Whole numbers are exact to the last byte; only a written fraction goes through floating
    // point.
    let whole = &text[..text.len() - unit.len()];
    if let Ok(count) = whole.parse::<u64>() {
        return count.checked_mul(factor).ok_or_else(invalid);
    }
    let bytes = number * factor as f64;
    if bytes < u64::MAX as f64 {
        Ok(bytes as u64)
    } else {
        Err(invalid())
    }
}

/// The plain decimal number a text starts with, and what follows it. No sign, no exponent, no
/// `inf`.
fn decimal(text: &str) -> Option<(f64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    number.parse().ok().map(|number| (number, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_gnu_parallel_reads_them() {
        let millis = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("10"), Ok(10_000));
        assert_eq!(millis("2.5"), Ok(2_500));
        assert_eq!(millis("5m"), Ok(300_000));
        assert_eq!(millis("2D"), Ok(172_800_000));
        assert_eq!(millis("200ms"), Ok(200));
        assert_eq!(millis("1d3.5h16.6m4s"), Ok(100_000_000));
        assert_eq!(millis("1m30"), Ok(90_000));
        assert_eq!(millis("0"), Ok(0));
        assert_eq!(parse_duration("0.1"), Ok(Duration::from_millis(100)));
    }

    #[test]
    fn what_is_no_duration_is_refused_by_name() {
        for text in [
            "", "m", "-1", "1x", "1e3", "inf", "nan", "1..2", "1 s", "9e99", ".",
        ] {
            let error = parse_duration(text).expect_err(text).to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
        assert!(parse_duration(&"9".repeat(40)).is_err());
    }

    #[test]
    fn sizes_count_in_1024s_with_capitals_and_in_1000s_without() {
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("512B"), Ok(512));
        assert_eq!(parse_size("64K"), Ok(65_536));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("64k"), Ok(64_000));
        assert_eq!(parse_size("3G"), Ok(3 << 30));
        assert_eq!(parse_size("0.5M"), Ok(512 * 1024));
        assert_eq!(parse_size("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "",
            "K",
            "-1",
            "1KB",
            "1kiB",
            "1iB",
            "1X",
            "1e9",
            "999999P",
            "18446744073709551616",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in any::<String>()) {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
