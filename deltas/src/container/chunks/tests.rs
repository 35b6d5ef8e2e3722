use super::*;
use crate::container::write::write_streams;

fn streams(lengths: [usize; STREAMS]) -> Vec<Vec<u8>> {
    lengths.iter().zip(1u8..).map(|(length, byte)| vec![byte; *length]).collect()
}

fn read_all(body: &[u8], lengths: [usize; STREAMS], order: &[usize]) -> Result<Vec<Vec<u8>>, Flaw> {
    let mut delta = body;
    let mut several = Several::new(&mut delta, lengths.map(|length| length as u64));
    let mut result = vec![Vec::new(); STREAMS];
    for stream in order {
        let mut piece = Vec::new();
        several.next(*stream, &mut piece)?;
        result[*stream].extend(piece);
    }
    for (stream, result) in result.iter_mut().enumerate() {
        let mut piece = Vec::new();
        loop {
            several.next(stream, &mut piece)?;
            if piece.is_empty() {
                break;
            }
            result.extend_from_slice(&piece);
        }
    }
    Ok(result)
}

#[test]
fn short_streams_stand_one_after_the_other_and_come_in_any_order() {
    let lengths = [3, 0, 70_000, 100, 0, 20_000, 45_000];
    let streams = streams(lengths);
    let mut body = Vec::new();
    write_streams(&streams, &[], &mut body).unwrap();
    assert_eq!(body, streams.concat());
    assert_eq!(read_all(&body, lengths, &[0, 2, 2, 6, 3, 5]).unwrap(), streams);
}

#[test]
fn long_streams_come_in_chunks_in_the_order_of_the_demands() {
    let lengths = [3, 4, 5, 70_000, 10, 200_000, 300_000];
    let streams = streams(lengths);
    let mut recorded = Recorded::new(&streams);
    let mut piece = Vec::new();
    let demands = [6, 3, 4, 5, 5, 6, 6, 3, 5, 5, 6, 6];
    for stream in demands {
        recorded.next(stream, &mut piece).unwrap();
    }
    assert_eq!(recorded.order, demands);
    let mut body = Vec::new();
    write_streams(&streams, &recorded.order, &mut body).unwrap();
    assert_eq!(body.len(), lengths.iter().sum::<usize>() + demands.len());
    assert_eq!(read_all(&body, lengths, &[0, 1, 2, 6, 3, 4]).unwrap(), streams);
}

#[test]
fn chunks_that_come_too_early_are_kept_up_to_a_mebibyte() {
    let chunk = 65_536;
    for (early, accepted) in [(16, true), (17, false)] {
        let lengths = [0, 0, 0, chunk * early, 0, 0, chunk];
        let streams = streams(lengths);
        let mut order = vec![3; early];
        order.push(6);
        let mut body = Vec::new();
        write_streams(&streams, &order, &mut body).unwrap();
        assert_eq!(read_all(&body, lengths, &[6]).is_ok(), accepted);
    }
}

#[test]
fn chunks_of_no_stream_of_an_ended_one_or_of_the_control_are_refused() {
    let lengths = [0, 0, 0, 65_536, 0, 0, 65_536];
    let chunk = vec![0; 65_536];
    for number in [0, 2, 4, 7, 255] {
        let body = [&[number], chunk.as_slice(), &[6], &chunk].concat();
        assert!(read_all(&body, lengths, &[]).is_err(), "{number}");
    }
    let twice = [&[3], chunk.as_slice(), &[3], &chunk].concat();
    assert!(read_all(&twice, lengths, &[3, 6]).is_err());
}
