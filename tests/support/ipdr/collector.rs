//! A collector: a thread with one connection at a time.

use std::{
    net::{IpAddr, SocketAddr, TcpListener},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    conversation::{Conversation, End},
    log::Log,
    script::{Order, Script},
    wire::Wire,
};

/// Ends with its connection when it goes out of scope.
pub struct Collector {
    pub name: String,
    /// Where it listens, if the exporter is to dial it.
    pub address: Option<SocketAddr>,
    orders: Option<Sender<Order>>,
    thread: Option<JoinHandle<()>>,
}

impl Collector {
    /// Connects from `source` to `exporter`, again and again until that is there.
    pub fn dial(log: &Log, name: &str, source: &str, exporter: SocketAddr, script: Script) -> Self {
        let source: IpAddr = source.parse().unwrap();
        Collector::start(log, name, script, None, move |script| {
            Wire::dial(source, exporter, script).ok()
        })
    }

    /// Waits on `address` until the exporter connects.
    pub fn listen(log: &Log, name: &str, address: &str, script: Script) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let local = listener.local_addr().unwrap();
        let script = Script {
            is_dialled: true,
            ..script
        };
        Collector::start(log, name, script, Some(local), move |script| {
            let (socket, _) = listener.accept().ok()?;
            socket.set_nonblocking(false).ok()?;
            Wire::over(socket, script).ok()
        })
    }

    fn start(
        log: &Log,
        name: &str,
        script: Script,
        address: Option<SocketAddr>,
        connect: impl Fn(&Script) -> Option<Wire> + Send + 'static,
    ) -> Self {
        let (orders, received) = mpsc::channel();
        let (log, who) = (log.clone(), name.to_owned());
        Collector {
            name: name.to_owned(),
            address,
            orders: Some(orders),
            thread: Some(thread::spawn(move || live(&log, &who, &script, &received, connect))),
        }
    }

    pub fn tell(&self, order: Order) {
        let _ = self.orders.as_ref().unwrap().send(order);
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !thread::panicking()
        {
            panic!("the collector {} has failed", self.name);
        }
    }
}

fn live(log: &Log, who: &str, script: &Script, orders: &Receiver<Order>, connect: impl Fn(&Script) -> Option<Wire>) {
    let mut misdeeds = script.misdeeds.clone();
    let mut documents = 0;
    loop {
        let Some(wire) = connect(script) else {
            match orders.recv_timeout(Duration::from_millis(5)) {
                Ok(Order::End) if !stay_away(orders) => return,
                Err(RecvTimeoutError::Disconnected) => return,
                _ => {}
            }
            continue;
        };
        let end = Conversation::new((who, script, log), orders, &mut misdeeds, &mut documents, wire).hold();
        log.tell(|seen| seen.away(who, &format!("{end:?}")));
        let comes_back = match end {
            End::Over => stay_away(orders),
            End::Ours(_) if !script.comes_back => stay_away(orders),
            // Others go on trying at once; the exporter may still be busy with the end of the last one.
            End::Ours(_) | End::Theirs(_) => !matches!(
                orders.recv_timeout(Duration::from_millis(5)),
                Err(RecvTimeoutError::Disconnected)
            ),
        };
        if !comes_back {
            return;
        }
    }
}

/// Until it is told to go on; false when there is nobody left to tell it.
fn stay_away(orders: &Receiver<Order>) -> bool {
    orders.iter().any(|order| order == Order::GoOn)
}
