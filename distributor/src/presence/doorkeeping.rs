//! Opens and closes the doors of the server: what is needed is opened before it is announced, and what nobody comes by
//! any more is closed after.
//!
//! Invariants: a door stays open while one that is needed cannot be opened; what a socket unit holds is never closed,
//! since callers would wait in its queue for ever and not be refused.
//! Left out on purpose: which doors are needed (`listening`).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use sealpost_manifests::setup::ServerEntry;
use sealpost_service::port_holder::reason;
use sealpost_site::rows::ServersLearnedRow;

use super::listening::{covers, exclude_each_other, former, unserved, widest};
use super::{ServerPresence, Told, blocking};
use crate::config::port_hint;
use crate::ports::doors::Doors;

/// What has to be listened on.
struct Needed {
    wanted: SocketAddr,
    former: Vec<SocketAddr>,
    held: Option<SocketAddr>,
}

impl Needed {
    fn all(&self) -> Vec<SocketAddr> {
        std::iter::once(self.wanted).chain(self.former.iter().copied()).collect()
    }

    fn targets(&self) -> Vec<SocketAddr> {
        let all: Vec<SocketAddr> = self.all().into_iter().chain(self.held).collect();
        widest(&all)
    }

    /// Whether the socket unit holds a part of it, so that the system refuses the whole.
    fn is_held_in_part(&self, target: SocketAddr) -> bool {
        self.held.is_some_and(|held| held != target && covers(target, held))
    }
}

impl ServerPresence {
    /// Opens what is needed from now on beside what was needed before, and notes whether computers can be told of it.
    pub(super) async fn open_doors(&self, learned: Option<&ServersLearnedRow>) {
        let Some(doors) = self.doors() else { return };
        let ways = learned.map(|row| row.ways.as_slice()).unwrap_or_default();
        let mut needed = self.needed(ways);
        // Who has learned is known only after the announcement.
        let remembered = self.remembered.addresses();
        let has_way = |door: &&SocketAddr| ways.iter().any(|way| way.port == door.port());
        needed.former.extend(remembered.iter().filter(has_way));
        for target in needed.targets() {
            // What fails is said when the doors are settled.
            let _ = self.open_door(&doors, &needed, target).await;
        }
        let open = doors.open_at();
        let is_served =
            open.iter().any(|door| covers(*door, needed.wanted)) || needed.is_held_in_part(needed.wanted);
        let answers = |way: &&ServerEntry| {
            unserved(&way.addresses, way.port, &open, &remembered, Self::is_own).len() < way.addresses.len()
        };
        let told = match (ways.iter().find(answers), ways.first()) {
            _ if is_served => Told::Configured,
            (Some(way), _) => Told::Before { addresses: way.addresses.clone(), port: way.port },
            (None, Some(way)) => Told::Unserved { addresses: way.addresses.clone(), port: way.port },
            (None, None) => Told::Nothing,
        };
        self.with(|state| state.told = told);
    }

    /// Opens what is missing and closes what nobody needs; answers what could not be done.
    pub(super) async fn settle_doors(&self, learned: Option<&ServersLearnedRow>) -> Vec<String> {
        let Some(doors) = self.doors() else { return Vec::new() };
        let ways = learned.map(|row| row.ways.as_slice()).unwrap_or_default();
        let needed = self.needed(ways);
        let targets = needed.targets();
        let mut problems = Vec::new();
        for target in &targets {
            if let Err(error) = self.open_door(&doors, &needed, *target).await {
                problems.push(problem(needed.wanted, *target, error).await);
            }
        }
        let is_whole = problems.is_empty() && targets.iter().all(|target| doors.open_at().contains(target));
        if is_whole {
            for door in doors.open_at().into_iter().filter(|door| !targets.contains(door)) {
                doors.close(door);
            }
        }
        let kept = if ways.len() > 1 || !is_whole { Vec::new() } else { needed.former.clone() };
        self.with(|state| state.kept_open = kept);
        let open = if is_whole { needed.all() } else { doors.open_at() };
        if let Err(problem) = self.remember(open, is_whole).await {
            problems.push(problem);
        }
        problems
    }

    /// Whether an address is one of this computer's.
    pub(super) fn is_own(ip: IpAddr) -> bool {
        UdpSocket::bind((ip, 0)).map_or_else(|error| !is_of_another_computer(&error), |_| true)
    }

    pub(super) fn doors(&self) -> Option<Arc<dyn Doors>> {
        self.with(|state| state.doors.clone()).and_then(|doors| doors.upgrade())
    }

    /// The address that the configuration says.
    pub(super) fn wanted_door(&self) -> SocketAddr {
        self.with(|state| {
            let configured = |port| SocketAddr::new(state.settings.listen.ip(), port);
            state.port.map_or(state.started_on, configured)
        })
    }

    fn needed(&self, ways: &[ServerEntry]) -> Needed {
        let (wanted, held) = (self.wanted_door(), self.with(|state| state.held));
        let former = former(&self.remembered.addresses(), wanted, ways, Self::is_own);
        Needed { wanted, former, held }
    }

    async fn open_door(
        &self,
        doors: &Arc<dyn Doors>,
        needed: &Needed,
        target: SocketAddr,
    ) -> Result<(), Arc<io::Error>> {
        // The warning about the unit says it.
        if needed.is_held_in_part(target) {
            return Ok(());
        }
        let open = doors.open_at().into_iter();
        let others: Vec<SocketAddr> =
            open.filter(|door| *door != target && exclude_each_other(*door, target)).collect();
        if others.is_empty() {
            return doors.open(target).await.map_err(Arc::new);
        }
        // Each try refuses callers for a moment.
        let in_vain =
            self.with(|state| state.in_vain.iter().find(|(address, _)| *address == target).cloned());
        if let Some((_, error)) = in_vain {
            return Err(error);
        }
        let Err(error) = doors.replace(others, target).await.map_err(Arc::new) else { return Ok(()) };
        self.with(|state| state.in_vain.push((target, Arc::clone(&error))));
        Err(error)
    }

    async fn remember(&self, open: Vec<SocketAddr>, is_whole: bool) -> Result<(), String> {
        let before = self.remembered.addresses();
        let kept = if is_whole { &[][..] } else { before.as_slice() };
        let mut now = Vec::new();
        for door in open.iter().chain(kept) {
            if !now.contains(door) {
                now.push(*door);
            }
        }
        if now == before {
            return Ok(());
        }
        let remembered = Arc::clone(&self.remembered);
        match blocking(move || remembered.set(now)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                Err(format!("cannot write {} ({error}); check the disk", self.remembered.path().display()))
            }
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Why a target is not listened on, and what helps. Looks at every process.
async fn problem(wanted: SocketAddr, target: SocketAddr, error: Arc<io::Error>) -> String {
    let said = format!("cannot listen on {target}, where computers come ({error})");
    let hint = blocking(move || {
        if target == wanted {
            return port_hint(&error, Some(target));
        }
        let reason = reason(&error, Some(target)).map_or_else(String::new, |reason| format!("{reason}; "));
        format!(
            "{reason}computers that have not learned the new port or address are not served there; free it, or end the move \
             with `distributor address finish --now`"
        )
    });
    // What was tried in vain is tried again then.
    format!("{said}: {}; after that, reload the server with SIGHUP", hint.await.unwrap_or_default())
}

/// Whether an address that cannot be bound is none of this computer's. Any other reason, such as too many open files, says
/// nothing about the address, and must not close a door.
fn is_of_another_computer(error: &io::Error) -> bool {
    let has_no_such_family = error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    error.kind() == io::ErrorKind::AddrNotAvailable || has_no_such_family
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn an_address_that_cannot_be_tried_for_another_reason_is_not_taken_for_another_computers() {
        for (errno, is_anothers) in [
            (Errno::ADDRNOTAVAIL, true),
            (Errno::AFNOSUPPORT, true),
            (Errno::MFILE, false),
            (Errno::NOBUFS, false),
            (Errno::ACCESS, false),
        ] {
            assert_eq!(is_of_another_computer(&errno.into()), is_anothers, "{errno}");
        }
        let own = |text: &str| ServerPresence::is_own(text.parse().unwrap());
        assert!(own("127.0.0.1") && !own("203.0.113.1"));
    }
}
