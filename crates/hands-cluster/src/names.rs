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
    fn what_would_mean_something_in_a_subject_is_refused() {
        for bad in ["", "a.b", "*", ">", "a b", "é", &"x".repeat(65)] {
            assert!(checked(bad).is_err(), "{bad}");
        }
        assert!(checked("a-b_9").is_ok());
    }
}
