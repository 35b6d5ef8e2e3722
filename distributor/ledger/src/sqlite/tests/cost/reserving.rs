use sealpost_site::commands::clients::{ReserveMany, Seat, Wanted};
use sealpost_site::rules::names::MixedScripts;

use super::{Server, admin, computer_name, reserve};

impl Server {
    /// Instructions of SQLite's machine, since they were prepared, of the statements that one more reservation runs.
    async fn steps_after_a_reservation(&self, name: &str) -> i32 {
        self.traced();
        self.ledger.execute(self.world.at(7), reserve(name)).await.unwrap();
        self.traced().ended.iter().map(|counters| counters.steps).sum()
    }

    /// The instructions of one more reservation.
    async fn steps_of_a_reservation(&self, name: &str) -> i32 {
        let before = self.steps_after_a_reservation(&format!("{name}-1")).await;
        self.steps_after_a_reservation(&format!("{name}-2")).await - before
    }
}

#[tokio::test]
async fn a_reservation_costs_the_same_however_many_seats_are_held() {
    let server = Server::new().await;
    // What the first one counts is known from then on.
    server.steps_of_a_reservation("first").await;
    let of_few = server.steps_of_a_reservation("few").await;
    for number in 0..400 {
        server.ledger.execute(server.world.at(7), reserve(&format!("pc-{number}"))).await.unwrap();
    }
    assert_eq!(server.steps_of_a_reservation("many").await, of_few);
}

#[tokio::test]
async fn a_batch_is_one_transaction() {
    let server = Server::new().await;
    let wanted = |number| {
        let name = computer_name(&format!("pc-{number}"));
        Wanted { name, channel: None, serial: None }
    };
    let wanted: Vec<Wanted> = (0..100).map(wanted).collect();
    server.traced();
    let command = ReserveMany { actor: admin(), wanted, mixed: MixedScripts::AskBack };
    let seats = server.ledger.execute(server.world.at(7), command).await.unwrap();
    assert!(seats.iter().all(|seat| matches!(seat, Seat::Taken { .. })), "{seats:?}");
    let begun = server.traced().begun;
    let count = |statement: &str| begun.iter().filter(|begun| begun.starts_with(statement)).count();
    assert_eq!(["BEGIN", "SAVEPOINT", "RELEASE", "COMMIT"].map(count), [1; 4], "{begun:?}");
}
