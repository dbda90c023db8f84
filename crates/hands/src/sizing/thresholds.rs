//! Where the controller draws its lines. Times are in seconds.

/// The least time to judge a size by.
pub(super) const PERIOD: f64 = 0.15;
/// The same for a step down.
pub(super) const PERIOD_DOWN: f64 = 0.3;
/// With few tasks: at rest, and in a trial.
pub(super) const PERIOD_AT_REST: f64 = 0.4;
pub(super) const PERIOD_LONG: f64 = 1.0;
/// No longer than this is waited for each worker to end a task, and twice as long to judge by few.
pub(super) const PATIENCE: f64 = 1.5;
/// Half-life of the mix, seconds; that of long tasks is longer, or their phases would show instead
/// of their mix.
pub(super) const HALF_LIFE: f64 = 0.5;
pub(super) const HALF_LIFE_MOST: f64 = 5.0;
/// Smaller shares of idle cores are not worth a worker.
pub(super) const IDLE: f64 = 0.05;
/// The same beyond the target, and where idle cores are only a guess.
pub(super) const IDLE_CLEAR: f64 = 0.08;
/// With more of a task's time in the run queue, idle cores that we only guess may be a neighbour's.
pub(super) const DELAY_BLIND: f64 = 0.15;
/// The same where the cores are known to be idle: uneven tasks meet now and then.
pub(super) const DELAY_KNOWN: f64 = 0.4;
/// Tasks that use the CPU for no more than this share of their time may be more where no core is
/// idle, up to this part of the target.
pub(super) const LIGHT: f64 = 0.2;
pub(super) const LIGHT_PART: f64 = 0.5;
/// All workers are blocked if none ends a task for so long, seconds, and all of them use no more
/// than this part of a core.
pub(super) const BLOCKED: f64 = 0.04;
pub(super) const BLOCKED_CPU: f64 = 0.05;
/// With more delay than this and no idle core there are too many workers.
pub(super) const CROWDED: f64 = 0.2;
/// How far uneven tasks may take the size beyond the target, without being too many.
pub(super) const UNEVEN: f64 = 1.9;
/// Beyond this multiple of the target the size shrinks, crowded or not.
pub(super) const FAR: f64 = 2.1;
/// The part of a promised gain that must be kept.
pub(super) const FAIR: f64 = 0.25;
/// The same of a step that promised little, where chance may hide the gain.
pub(super) const FAIR_STEP: f64 = 0.1;
/// Without gain where so much was promised, something else than the number of workers is the limit.
pub(super) const FLAT: f64 = 0.4;
/// A loss by which fewer still do as much.
pub(super) const NO_LOSS: f64 = 0.04;
/// The part of a promised gain or loss so clear that few tasks suffice, and a loss below which none
/// is clear.
pub(super) const CLEAR: f64 = 0.7;
pub(super) const CLEAR_LOSS: f64 = 0.2;
pub(super) const SOME_LOSS: f64 = 0.12;
/// The part of a promised loss that shows that every worker counts.
pub(super) const EVERY_COUNTS: f64 = 0.8;
/// The part of a promised loss below which it may be chance.
pub(super) const UNCLEAR: f64 = 0.4;
/// The fewest tasks to judge by; half of it at rest.
pub(super) const FEWEST: f64 = 8.0;
/// The same for small differences.
pub(super) const TASKS_FEW: f64 = 30.0;
/// This number needs no longer period: at rest, before something is tried.
pub(super) const TASKS_AT_REST: f64 = 150.0;
/// The same with more workers.
pub(super) const TASKS_MORE: f64 = 60.0;
/// The same with fewer, where a few per cent decide.
pub(super) const TASKS_FEWER: f64 = 150.0;
/// The same for what later trials are compared with.
pub(super) const TASKS_PLENTY: f64 = 600.0;
/// The first pause after a growth that gained nothing, seconds, and the longest.
pub(super) const PAUSE: f64 = 2.0;
pub(super) const PAUSE_MOST: f64 = 60.0;
/// Another CPU share by this factor is another kind of work.
pub(super) const OTHER_WORK: f64 = 1.6;
/// The same by few tasks.
pub(super) const OTHER_WORK_FEW: f64 = 2.5;
