//! Many events under way at once. A module may take seconds for one; the others do not wait for it.

use std::{
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        mpsc::{self, Receiver, SyncSender},
    },
    thread::{self, JoinHandle},
};

use crate::account::{
    engine::{Answer, Engine, Origin},
    event::Event,
    journal::Failed,
};

/// Events that may wait for one worker.
const QUEUE: usize = 64;

/// What came of an event.
pub type Answered = Result<Answer, Failed>;

/// Threads that submit events. The events of one call have one worker, and stay in order.
pub struct Workers {
    engine: Arc<Engine>,
    /// Empty when nothing is taken any more.
    queues: RwLock<Vec<SyncSender<Task>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Task {
    event: Event,
    key: Option<String>,
    origin: Origin,
    /// Hears that the event is safe, and whether it had come before.
    is_safe: Option<SyncSender<bool>>,
    answer: SyncSender<Answered>,
}

impl Workers {
    pub fn start(engine: Arc<Engine>, count: usize) -> std::io::Result<Self> {
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for n in 0..count.max(1) {
            let (give, take) = mpsc::sync_channel::<Task>(QUEUE);
            let engine = Arc::clone(&engine);
            let thread = thread::Builder::new().name(format!("calls {n}")).spawn(move || {
                for task in take {
                    let mut is_safe = |repeated| {
                        if let Some(listener) = &task.is_safe {
                            let _ = listener.try_send(repeated);
                        }
                    };
                    let answer = engine.submit_with(&task.event, task.key.as_deref(), task.origin, &mut is_safe);
                    // Nobody listens when the connection is gone; the event is logged all the same.
                    let _ = task.answer.try_send(answer);
                }
            })?;
            queues.push(give);
            threads.push(thread);
        }
        Ok(Workers {
            engine,
            queues: RwLock::new(queues),
            threads: Mutex::new(threads),
        })
    }

    /// Has the event logged. Returns at once, but for when too many wait already.
    pub fn submit(&self, event: Event) -> Receiver<Answered> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.give(Task {
            event,
            key: None,
            origin: Origin::Caller,
            is_safe: None,
            answer,
        });
        answered
    }

    /// Has an event of a gatekeeper logged. Returns when it cannot be lost any more: whether it had come before.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub fn take(&self, key: &str, event: &Event) -> Result<bool, String> {
        let (answer, answered) = mpsc::sync_channel(1);
        let (tell, told) = mpsc::sync_channel(1);
        self.give(Task {
            event: event.clone(),
            key: Some(key.to_owned()),
            origin: Origin::Gatekeeper,
            is_safe: Some(tell),
            answer,
        });
        told.recv().map_err(|_| match answered.recv() {
            Ok(Err(failed)) => failed.to_string(),
            _ => "the program ends".to_owned(),
        })
    }

    fn give(&self, task: Task) {
        let queues = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        let lane = self.engine.lane(&task.event);
        // When nothing is taken any more the answer's other end is dropped, which says enough.
        if let Some(index) = lane.checked_rem(queues.len() as u64)
            && let Some(queue) = queues.get(index as usize)
        {
            let _ = queue.send(task);
        }
    }

    /// Takes nothing any more; returns when all that was submitted is through.
    pub fn end(&self) {
        self.queues.write().unwrap_or_else(PoisonError::into_inner).clear();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
    }
}
