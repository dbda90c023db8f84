//! Several URLs in one, as curl reads them: `[1-9]`, `[01-20:2]`, `[a-f]`, `{one,two}`; every
//! combination, the last one turning fastest.

/// More than this is a mistake.
const MOST: usize = 1_000_000;

/// All URLs that one stands for. What is no range, such as the address `[::1]`, stays as it is.
pub(super) fn expanded(text: &str) -> Result<Vec<String>, String> {
    let mut all = vec![String::new()];
    let mut rest = text;
    while let Some(at) = rest.find(['[', '{']) {
        let (plain, from) = rest.split_at(at);
        let close = if from.starts_with('[') { ']' } else { '}' };
        let inside = from[1..].split_once(close);
        let choices = inside.and_then(|(inside, _)| match close {
            ']' => range(inside),
            _ => inside
                .contains(',')
                .then(|| Ok(inside.split(',').map(str::to_owned).collect())),
        });
        let (Some(choices), Some((_, after))) = (choices, inside) else {
            // This one as it is; there may be others behind it.
            append(&mut all, &rest[..=at]);
            rest = &rest[at + 1..];
            continue;
        };
        let choices: Vec<String> = choices.map_err(|why| format!("`{text}` {why}"))?;
        if all.len().saturating_mul(choices.len()) > MOST {
            return Err(format!("`{text}` stands for more than {MOST} URLs"));
        }
        append(&mut all, plain);
        all = all
            .iter()
            .flat_map(|before| {
                choices
                    .iter()
                    .map(move |choice| format!("{before}{choice}"))
            })
            .collect();
        rest = after;
    }
    append(&mut all, rest);
    Ok(all)
}

fn append(all: &mut [String], text: &str) {
    for one in all {
        one.push_str(text);
    }
}

/// `1-9`, `01-20:2`, `a-f`. `None`: it is no range.
fn range(text: &str) -> Option<Result<Vec<String>, String>> {
    let (range, step) = match text.split_once(':') {
        Some((range, step)) => (range, step.parse::<usize>().ok()?),
        None => (text, 1),
    };
    let (first, last) = range.split_once('-')?;
    let one = |text: &str| {
        let mut letters = text.chars();
        let letter = letters.next().filter(char::is_ascii_alphabetic)?;
        letters.next().is_none().then_some(letter)
    };
    let wrong = || {
        Some(Err(
            "has a range that ends before it begins, or does not move".to_owned(),
        ))
    };
    if let (Some(first), Some(last)) = (one(first), one(last)) {
        if step == 0 || first > last {
            return wrong();
        }
        return Some(Ok((first..=last).step_by(step).map(String::from).collect()));
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(first) || !digits(last) {
        return None;
    }
    let width = if first.starts_with('0') {
        first.len()
    } else {
        1
    };
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    if step == 0 || first > last {
        return wrong();
    }
    if (last - first) / step as u64 >= MOST as u64 {
        return Some(Err(format!("stands for more than {MOST} URLs")));
    }
    let numbers = (first..=last).step_by(step);
    Some(Ok(numbers
        .map(|number| format!("{number:0width$}"))
        .collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_stands_for_several() {
        for (text, all) in [
            ("http://a/[1-3]", "http://a/1 http://a/2 http://a/3"),
            ("a/[08-10]", "a/08 a/09 a/10"),
            ("a/[1-9:4]x", "a/1x a/5x a/9x"),
            ("a/[a-c]", "a/a a/b a/c"),
            ("{x,y}/[1-2]", "x/1 x/2 y/1 y/2"),
            ("http://[::1]/[1-2]", "http://[::1]/1 http://[::1]/2"),
            ("a/{x}", "a/{x}"),
            ("a/[x", "a/[x"),
            ("a?b[]=[1-2]", "a?b[]=1 a?b[]=2"),
            ("plain", "plain"),
        ] {
            assert_eq!(
                expanded(text).map(|all| all.join(" ")).as_deref(),
                Ok(all),
                "{text}"
            );
        }
        for text in [
            "a/[3-1]",
            "a/[1-3:0]",
            "a/[1-99999999]",
            "a/[1-9999][1-9999]",
        ] {
            assert!(expanded(text).is_err(), "{text}");
        }
    }
}
