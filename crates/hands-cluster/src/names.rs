//! What streams and subjects are called. Least privilege is given by these names; the crate's page
//! lists who needs which.

use crate::ClusterError;

/// The names of one pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolNames {
    pool: String,
}

impl PoolNames {
    pub(crate) fn new(pool: &str) -> Result<PoolNames, ClusterError> {
        Ok(PoolNames {
            pool: checked(pool)?.to_owned(),
        })
    }

    /// Tasks that wait or run.
    pub(crate) fn tasks(&self) -> String {
        format!("HANDS_{}_TASKS", self.pool)
    }

    /// Starts, outcomes, and what was moved aside.
    pub(crate) fn results(&self) -> String {
        format!("HANDS_{}_RESULTS", self.pool)
    }

    /// What is too large for a message.
    pub(crate) fn large(&self) -> String {
        format!("HANDS_{}_LARGE", self.pool)
    }

    pub(crate) fn subject(&self, rest: &str) -> String {
        format!("hands.{}.{rest}", self.pool)
    }

    /// Where a task of a function waits; `>` for all of them.
    pub(crate) fn task(&self, hash: u64, id: &str) -> String {
        self.subject(&format!("task.{hash:016x}.{id}"))
    }

    /// Where workers that have a function answer.
    pub(crate) fn serves(&self, hash: u64) -> String {
        self.subject(&format!("serves.{hash:016x}"))
    }

    /// What workers are told: of one, or of all.
    pub(crate) fn told(&self, worker: &str) -> String {
        self.subject(&format!("tell.{worker}"))
    }

    /// Bytes on their way from a task to who has submitted it.
    pub(crate) fn feed(&self, feed: &str) -> String {
        self.subject(&format!("feed.{feed}"))
    }

    /// How many of them have been taken.
    pub(crate) fn taken(&self, feed: &str) -> String {
        self.subject(&format!("taken.{feed}"))
    }

    /// The stream of feeds.
    pub(crate) fn feeds(&self) -> String {
        format!("HANDS_{}_FEEDS", self.pool)
    }

    /// What a program keeps of its run.
    pub(crate) fn note(&self, run: &str, what: &str) -> String {
        self.subject(&format!("note.{run}.{what}"))
    }

    pub(crate) fn start(&self, id: &str) -> String {
        self.subject(&format!("start.{id}"))
    }

    pub(crate) fn result(&self, id: &str) -> String {
        self.subject(&format!("result.{id}"))
    }

    pub(crate) fn done(&self, id: &str) -> String {
        self.subject(&format!("done.{id}"))
    }

    pub(crate) fn poisoned(&self, id: &str) -> String {
        self.subject(&format!("poisoned.{id}"))
    }

    pub(crate) fn cancel(&self, id: &str) -> String {
        self.subject(&format!("cancel.{id}"))
    }

    /// The stream of a queue.
    pub(crate) fn queue(&self, queue: &str) -> String {
        format!("HANDS_{}_Q_{queue}", self.pool)
    }
}

/// Whether this is a run's name, as [`unique`](crate::unique) makes them.
pub(crate) fn is_run(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The hash of a function for those workers alone that have this label.
pub(crate) fn labelled(hash: u64, label: Option<&str>) -> u64 {
    let Some(label) = label else { return hash };
    // As `hands::remote::signature` goes on.
    label.bytes().fold(hash ^ 0xff, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A name that may be a part of a subject and of a stream's name.
pub(crate) fn checked(name: &str) -> Result<&str, ClusterError> {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    match (1..=64).contains(&name.len()) && name.chars().all(is_good) {
        true => Ok(name),
        false => Err(ClusterError::Name {
            name: name.chars().take(80).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_makes_another_function_of_it() {
        assert_eq!(labelled(7, None), 7);
        let some = ["gpu", "gpu2", "", "g"].map(|label| labelled(7, Some(label)));
        for (at, hash) in some.iter().enumerate() {
            assert!(*hash != 7 && !some[..at].contains(hash));
        }
    }

    #[test]
    fn what_would_mean_something_in_a_subject_is_refused() {
        for bad in ["", "a.b", "*", ">", "a b", "é", &"x".repeat(65)] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert!(checked("a-b_9").is_ok());
    }
}
