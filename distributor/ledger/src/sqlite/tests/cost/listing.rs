use sealpost_site::queries::ClientLines;
use sealpost_site::rows::ClientLineRow;

use super::{Computer, Server, computer_name, reserve, short};

impl Server {
    /// A page of the list, the statements that it took, and the instructions of the last.
    async fn page(&self, after: Option<&str>, limit: u32) -> (Vec<ClientLineRow>, Vec<String>, i32) {
        let after = after.map(computer_name);
        let steps = |server: &Self| {
            let trace = std::mem::take(&mut *server.reads.lock().unwrap());
            for counters in &trace.ended {
                assert_eq!((counters.sorts, counters.planned_again), (0, 0), "{counters:?}");
            }
            let steps = trace.ended.last().map_or(0, |counters| counters.steps);
            (trace.begun.iter().map(|sql| short(sql)).collect::<Vec<_>>(), steps)
        };
        // Twice: what is counted is counted since a statement was prepared.
        self.ledger.query(ClientLines { after: after.clone(), limit }).await.unwrap();
        let (_, before) = steps(self);
        let rows = self.ledger.query(ClientLines { after, limit }).await.unwrap();
        let (begun, steps) = steps(self);
        (rows, begun, steps - before)
    }
}

#[tokio::test]
async fn a_page_of_the_list_is_one_statement_that_sorts_nothing_whatever_stands_in_it() {
    let server = Server::new().await;
    let mut computers: Vec<Computer> = Vec::new();
    for number in 100..160 {
        computers.push(server.settled(&format!("pc-{number}")).await);
    }
    let (_, begun, ten) = server.page(Some("pc-109"), 10).await;
    assert_eq!(begun, ["SELECT computers"]);
    let (rows, begun, fifty) = server.page(Some("pc-109"), 50).await;
    assert_eq!((rows.len(), begun.len()), (50, 1));
    // So much for each row, and no more for the list.
    assert!(fifty <= 5 * ten + 10, "{ten} steps for 10, {fifty} for 50");
    // The last page of a long list costs what the first does: it begins where it begins.
    for number in 0..400 {
        server.ledger.execute(server.world.at(7), reserve(&format!("aa-{number}"))).await.unwrap();
    }
    let (again, _, after_many) = server.page(Some("pc-109"), 50).await;
    assert_eq!(again, rows);
    assert!(after_many <= fifty + 10, "{fifty} steps before 400 more names, {after_many} after");
}
