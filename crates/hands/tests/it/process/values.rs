//! Values arrive as they were, whatever `serde` was told about their types; or an error says why
//! not.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use hands::pool::{Pool, ProcessPool};
use hands::process;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::in_time;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Skips {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    a: Option<u32>,
    b: u32,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    c: Vec<u8>,
    d: Option<u8>,
    #[serde(skip)]
    e: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
    Text(String),
    Both { number: u64, text: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    Here { x: u8 },
    There(Skips),
    Nowhere,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "what")]
enum Adjacent {
    One(u8, u8),
    Other(Untagged),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, i64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "SCREAMING-KEBAB-CASE")]
struct Defaults {
    first_field: u8,
    #[serde(rename = "2", alias = "two")]
    second: Option<Box<Defaults>>,
}

impl Default for Defaults {
    fn default() -> Defaults {
        Defaults {
            first_field: 7,
            second: None,
        }
    }
}

/// One variant of it is plain, and the one that is not is seldom used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Mixed {
    Plain(u64),
    Odd(Vec<Untagged>),
    Deep(Option<Box<Mixed>>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Everything {
    skips: Vec<Skips>,
    untagged: Vec<Untagged>,
    tagged: Vec<Tagged>,
    adjacent: HashMap<String, Adjacent>,
    flat: Option<Flat>,
    defaults: Defaults,
    mixed: (Mixed, Mixed),
}

fn any_skips() -> impl Strategy<Value = Skips> {
    (
        any::<Option<u32>>(),
        any::<u32>(),
        any::<Vec<u8>>(),
        any::<Option<u8>>(),
    )
        .prop_map(|(a, b, c, d)| Skips { a, b, c, d, e: 0 })
}

fn any_untagged() -> impl Strategy<Value = Untagged> {
    prop_oneof![
        any::<u64>().prop_map(Untagged::Number),
        ".*".prop_map(Untagged::Text),
        (any::<u64>(), ".*").prop_map(|(number, text)| Untagged::Both { number, text }),
    ]
}

fn any_everything() -> impl Strategy<Value = Everything> {
    let tagged = prop_oneof![
        any::<u8>().prop_map(|x| Tagged::Here { x }),
        any_skips().prop_map(Tagged::There),
        Just(Tagged::Nowhere),
    ];
    let adjacent = prop_oneof![
        any::<(u8, u8)>().prop_map(|(a, b)| Adjacent::One(a, b)),
        any_untagged().prop_map(Adjacent::Other),
    ];
    let flat = (
        any::<u8>(),
        prop::collection::btree_map("[a-c]x?", any::<i64>(), 0..4),
    )
        .prop_map(|(id, rest)| Flat { id, rest });
    let mixed = || {
        prop_oneof![
            any::<u64>().prop_map(Mixed::Plain),
            prop::collection::vec(any_untagged(), 0..3).prop_map(Mixed::Odd),
            any::<Option<u64>>().prop_map(|n| Mixed::Deep(n.map(|n| Box::new(Mixed::Plain(n))))),
        ]
    };
    let few = 0..3_usize;
    (
        prop::collection::vec(any_skips(), few.clone()),
        prop::collection::vec(any_untagged(), few.clone()),
        prop::collection::vec(tagged, few.clone()),
        prop::collection::hash_map("[a-z]*", adjacent, few),
        prop::option::of(flat),
        any::<u8>(),
        (mixed(), mixed()),
    )
        .prop_map(
            |(skips, untagged, tagged, adjacent, flat, first_field, mixed)| Everything {
                skips,
                untagged,
                tagged,
                adjacent,
                flat,
                defaults: Defaults {
                    first_field,
                    second: Some(Box::new(Defaults::default())),
                },
                mixed,
            },
        )
}

fn sample(count: usize) -> Vec<Everything> {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let all = any_everything();
    (0..count)
        .map(|_| all.new_tree(&mut runner).unwrap().current())
        .collect()
}

#[test]
fn every_attribute_of_serde_survives_alone_and_in_chunks() {
    in_time(|| {
        let pool = ProcessPool::with_workers(2).unwrap();
        let all = sample(300);
        for one in &all[..50] {
            assert_eq!(
                pool.submit(|e: Everything| e, one.clone()).join(),
                Ok(one.clone())
            );
        }
        let back = pool.map(|e: Everything| e, all.clone()).chunk(7);
        for (one, back) in all.iter().zip(back) {
            assert_eq!(back.as_ref(), Ok(one));
        }
        let process = process::spawn(|e: Vec<Everything>| e, all.clone()).unwrap();
        assert_eq!(process.join().unwrap(), all);
        let (near, far) = process::pipe::<Vec<Everything>, ()>().unwrap();
        near.send(all[..10].to_vec()).unwrap();
        assert_eq!(far.recv().unwrap(), all[..10]);
    });
}

#[test]
fn values_of_the_standard_library_survive() {
    type Many = (
        (IpAddr, PathBuf, Duration, SystemTime),
        (char, i128, f64, std::num::NonZeroU8, ()),
        Result<Vec<Option<()>>, String>,
        std::ops::Range<u64>,
        [u16; 3],
    );
    let many: Many = (
        (
            "::1".parse().unwrap(),
            "/a/b".into(),
            Duration::from_nanos(1),
            SystemTime::UNIX_EPOCH,
        ),
        ('ß', -1, f64::MIN, std::num::NonZeroU8::MIN, ()),
        Ok(vec![None, Some(())]),
        3..7,
        [1, 2, 3],
    );
    in_time(move || {
        let pool = ProcessPool::with_workers(1).unwrap();
        assert_eq!(pool.submit(|m: Many| m, many.clone()).join(), Ok(many));
    });
}

/// Cannot be read back.
#[derive(Debug, PartialEq, Serialize)]
struct Odd(u8);

impl<'de> Deserialize<'de> for Odd {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Odd, D::Error> {
        let number = u8::deserialize(from)?;
        match number % 2 {
            1 => Ok(Odd(number)),
            _ => Err(serde::de::Error::custom("it is even")),
        }
    }
}

#[test]
fn one_value_that_cannot_be_read_costs_its_own_outcome() {
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        let back = pool.map(|odd: Odd| odd, (0..9).map(Odd)).chunk(9);
        for (n, back) in (0..).zip(back) {
            match n % 2 {
                1 => assert_eq!(back, Ok(Odd(n))),
                _ => {
                    let error = back.unwrap_err().to_string();
                    assert!(error.starts_with("cannot read the argument"), "{error}");
                }
            }
        }
        let back = pool.map(|n: u8| Odd(n), 0..9).chunk(9);
        let errors = back.filter_map(Result::err).collect::<Vec<_>>();
        assert_eq!(errors.len(), 5);
        assert!(
            errors[0].to_string().starts_with("cannot read the result"),
            "{}",
            errors[0]
        );
    });
}

#[derive(Debug, Serialize, Deserialize)]
enum Tree {
    Leaf,
    Node(Box<Tree>),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Odder {
    Leaf(u8),
    Node(Vec<Odder>),
}

fn tree(depth: usize) -> Tree {
    (0..depth).fold(Tree::Leaf, |inner, _| Tree::Node(Box::new(inner)))
}

/// Taken apart without recursion.
impl Drop for Tree {
    fn drop(&mut self) {
        while let Tree::Node(inner) = self
            && matches!(**inner, Tree::Node(_))
        {
            // What is left of this one is a node with a leaf, which ends here when it is dropped.
            let inner = std::mem::replace(&mut **inner, Tree::Leaf);
            *self = inner;
        }
    }
}

fn depth(tree: &Tree) -> usize {
    let (mut depth, mut at) = (0, tree);
    while let Tree::Node(inner) = at {
        at = &**inner;
        depth += 1;
    }
    depth
}

#[test]
fn what_is_a_hundred_thousand_deep_arrives() {
    const DEEP: usize = 100_000;
    in_time(|| {
        let pool = ProcessPool::with_workers(1).unwrap();
        assert_eq!(
            pool.submit(|tree: Tree| depth(&tree), tree(DEEP)).join(),
            Ok(DEEP)
        );
        let back = pool.submit(tree, DEEP);
        while !back.is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(back.join().map(|tree| depth(&tree)), Ok(DEEP));
        let odd =
            |depth: usize| (0..depth).fold(Odder::Leaf(1), |inner, _| Odder::Node(vec![inner]));
        let back = pool.submit(|odd: Odder| odd, odd(50)).join();
        assert!(matches!(back, Ok(Odder::Node(_))));
    });
}

/// One that says what it does not take.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u16")]
struct Port(u16);

impl TryFrom<u16> for Port {
    type Error = String;

    fn try_from(number: u16) -> Result<Port, String> {
        match number {
            0 => Err("not a port: 0".to_owned()),
            number => Ok(Port(number)),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Address {
    Here,
    At {
        host: String,
        ports: Vec<Option<Port>>,
    },
}

#[test]
fn what_a_type_says_of_a_value_that_it_does_not_take_is_told_for_arguments_and_results() {
    use hands::task::TaskError;

    let told = |outcome: Result<(), TaskError>| match outcome {
        Err(TaskError::Decode { what }) => what,
        other => panic!("{other:?}"),
    };
    let bad = || Address::At {
        host: "a".to_owned(),
        ports: vec![None, Some(Port(7)), Some(Port(0))],
    };
    let pool = ProcessPool::with_workers(1).unwrap();
    let argument = pool.submit(|place: Address| drop(place), bad()).join();
    assert_eq!(told(argument), "the argument: not a port: 0");
    let result = pool.submit(|()| Port(0), ()).join().map(drop);
    assert_eq!(told(result), "the result: not a port: 0");
    let spawned = process::spawn(|place: Address| drop(place), bad())
        .unwrap()
        .join();
    assert_eq!(told(spawned), "the argument: not a port: 0");
    let spawned = process::spawn(|()| Port(0), ()).unwrap().join().map(drop);
    assert_eq!(told(spawned), "the result: not a port: 0");
    assert_eq!(
        pool.submit(
            |place: Address| matches!(place, Address::Here),
            Address::Here
        )
        .join(),
        Ok(true)
    );
}

#[test]
fn every_attribute_of_serde_survives_a_shared_queue() {
    use hands::shared::Queue;

    let queue = Queue::<(Skips, Untagged, Flat)>::sized(4, 200).unwrap();
    let item = || {
        let skips = Skips {
            a: None,
            b: 7,
            c: Vec::new(),
            d: None,
            e: 0,
        };
        let rest = BTreeMap::from([("x".to_owned(), -1), ("y".to_owned(), 2)]);
        let flat = Flat { id: 3, rest };
        (skips, Untagged::Number(5), flat)
    };
    queue.put(item()).unwrap();
    let echo = |queue: Queue<(Skips, Untagged, Flat)>| queue.put(queue.get().unwrap()).unwrap();
    process::spawn(echo, queue.clone()).unwrap().join().unwrap();
    assert_eq!(queue.get(), Ok(item()));
}
