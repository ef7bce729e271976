//! The connections of one database: opened when they are needed, given back, and closed together when one breaks.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::driver::{Connection, Driver};

/// How long a connection beyond the smallest number may lie idle.
const IDLE: Duration = Duration::from_secs(60);

/// The longest rest after an attempt to connect that took long.
const LONGEST_REST: Duration = Duration::from_secs(30);

pub struct Pool {
    driver: Box<dyn Driver>,
    min: usize,
    max: usize,
    /// How long one may wait until another gives a connection back.
    patience: Duration,
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Default)]
struct State {
    /// The one used last is used next.
    idle: Vec<(Box<dyn Connection>, Instant)>,
    /// Idle ones and those that are lent.
    open: usize,
    /// Connections of an earlier generation are closed when they come back.
    generation: u64,
    /// Until when nobody tries to connect, and what the last attempt said.
    rest: Option<(Instant, String)>,
}

/// A connection for one event.
pub struct Lease<'a> {
    pool: &'a Pool,
    connection: Option<Box<dyn Connection>>,
    generation: u64,
}

impl Pool {
    pub fn new(driver: Box<dyn Driver>, min: usize, max: usize, patience: Duration) -> Self {
        let min = min.max(1);
        Pool {
            driver,
            min,
            max: max.max(min),
            patience,
            state: Mutex::default(),
            given_back: Condvar::new(),
        }
    }

    pub fn place(&self) -> &str {
        self.driver.place()
    }

    /// An idle connection, or a new one.
    ///
    /// A server that does not answer is not asked by each event in turn: after an attempt that took long, all fail at
    /// once for twice that time.
    pub fn take(&self) -> Result<Lease<'_>, String> {
        let deadline = Instant::now() + self.patience;
        let mut state = self.state();
        loop {
            let generation = state.generation;
            if let Some((connection, _)) = state.idle.pop() {
                return Ok(Lease {
                    pool: self,
                    connection: Some(connection),
                    generation,
                });
            }
            if state.open < self.max {
                break;
            }
            let Some(left) = deadline
                .checked_duration_since(Instant::now())
                .filter(|left| !left.is_zero())
            else {
                return Err(format!(
                    "{}: all {} connections are busy, and none came free in {} s; raise MaxPoolSize",
                    self.place(),
                    self.max,
                    self.patience.as_secs()
                ));
            };
            state = self
                .given_back
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        if let Some((until, why)) = &state.rest
            && Instant::now() < *until
        {
            return Err(format!("{why} (not tried again yet)"));
        }
        state.open += 1;
        // While it connects, others may go on.
        drop(state);
        let began = Instant::now();
        let connected = self.driver.connect();
        let mut state = self.state();
        match connected {
            Ok(connection) => {
                state.rest = None;
                Ok(Lease {
                    pool: self,
                    connection: Some(connection),
                    generation: state.generation,
                })
            }
            Err(why) => {
                let why = format!("{}: {why}", self.place());
                let took = began.elapsed();
                state.open -= 1;
                state.rest = Some((Instant::now() + (took * 2).min(LONGEST_REST), why.clone()));
                self.given_back.notify_one();
                Err(why)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease<'_> {
    pub fn connection(&mut self) -> &mut dyn Connection {
        self.connection
            .as_deref_mut()
            .expect("a lease has its connection until it ends")
    }

    /// The connection is gone, and so, most probably, are all others.
    pub fn broken(mut self) {
        self.connection = None;
        let mut state = self.pool.state();
        state.open -= 1;
        // Those that were opened since the first one broke are good.
        if state.generation == self.generation {
            state.open -= state.idle.len();
            state.idle.clear();
            state.generation += 1;
        }
        self.pool.given_back.notify_all();
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else {
            return;
        };
        let mut state = self.pool.state();
        if state.generation == self.generation {
            let now = Instant::now();
            state.idle.push((connection, now));
            // The first one is the one that has been idle longest.
            if state.open > self.pool.min && now.duration_since(state.idle[0].1) > IDLE {
                state.idle.remove(0);
                state.open -= 1;
            }
        } else {
            state.open -= 1;
        }
        drop(state);
        self.pool.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::{
        super::{
            driver::{Failure, Rows},
            value::Value,
        },
        *,
    };

    /// Counts its connections; connects only while `fails` is 0.
    struct Counting {
        opened: Arc<AtomicUsize>,
        fails: Arc<AtomicUsize>,
        slow: Duration,
    }

    struct Nothing;

    impl Driver for Counting {
        fn connect(&self) -> Result<Box<dyn Connection>, String> {
            std::thread::sleep(self.slow);
            if self.fails.load(Ordering::SeqCst) > 0 {
                return Err("refused".to_owned());
            }
            self.opened.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(Nothing))
        }

        fn place(&self) -> &str {
            "nowhere"
        }
    }

    impl Connection for Nothing {
        fn begin(&mut self) -> Result<(), Failure> {
            Ok(())
        }
        fn commit(&mut self) -> Result<(), Failure> {
            Ok(())
        }
        fn rollback(&mut self) -> Result<(), Failure> {
            Ok(())
        }
        fn execute(&mut self, _: &str, _: &[Value]) -> Result<Rows, Failure> {
            Ok(Rows::default())
        }
    }

    fn pool(max: usize, patience: Duration, slow: Duration) -> (Pool, Arc<AtomicUsize>, Arc<AtomicUsize>) {
        let (opened, fails) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let driver = Counting {
            opened: opened.clone(),
            fails: fails.clone(),
            slow,
        };
        (Pool::new(Box::new(driver), 1, max, patience), opened, fails)
    }

    #[test]
    fn a_connection_is_used_again_and_never_more_than_the_largest_number() {
        let (pool, opened, _) = pool(2, Duration::from_millis(20), Duration::ZERO);
        for _ in 0..3 {
            drop(pool.take().unwrap());
        }
        assert_eq!(opened.load(Ordering::SeqCst), 1);
        let _first = pool.take().unwrap();
        let _second = pool.take().unwrap();
        assert_eq!(opened.load(Ordering::SeqCst), 2);
        let why = pool.take().err().unwrap();
        assert!(why.contains("MaxPoolSize"), "{why}");
    }

    #[test]
    fn who_waits_gets_what_is_given_back() {
        let (pool, _, _) = pool(1, Duration::from_secs(20), Duration::ZERO);
        let held = pool.take().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| pool.take().is_ok());
            drop(held);
            assert!(waiting.join().unwrap());
        });
    }

    #[test]
    fn one_broken_connection_ends_them_all() {
        let (pool, opened, _) = pool(3, Duration::from_secs(1), Duration::ZERO);
        let (first, second, third) = (pool.take().unwrap(), pool.take().unwrap(), pool.take().unwrap());
        drop(second);
        first.broken();
        drop(third);
        let _again: Vec<_> = (0..3).map(|_| pool.take().unwrap()).collect();
        assert_eq!(opened.load(Ordering::SeqCst), 6);
    }

    #[test]
    fn a_server_that_refuses_at_once_is_asked_each_time_and_one_that_hangs_is_not() {
        let (quick, opened, fails) = pool(1, Duration::from_secs(1), Duration::ZERO);
        fails.store(1, Ordering::SeqCst);
        assert!(quick.take().is_err());
        fails.store(0, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        assert!(quick.take().is_ok());
        assert_eq!(opened.load(Ordering::SeqCst), 1);

        let (slow, _, fails) = pool(1, Duration::from_secs(1), Duration::from_millis(200));
        fails.store(1, Ordering::SeqCst);
        assert!(slow.take().is_err());
        let began = Instant::now();
        let why = slow.take().err().unwrap();
        assert!(why.contains("not tried again yet"), "{why}");
        assert!(began.elapsed() < Duration::from_millis(150));
    }
}
