//! Whatever a connection brings, every message of it is a row or has a problem, and is answered in its own delimiters.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, FixedOffset};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use wardlake_connect::{
    RejectReason,
    hl7::{Decoder, Frame, Mapping, Outcome, acknowledge, framed, header, read_row},
};

use super::{Shape, mutate, setting};

/// The corpus, and the real messages where they are at hand.
fn messages() -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = Shape::Hl7.corpus().into_iter().map(|(_, bytes)| bytes).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/hl7v2");
    let mut paths: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    messages.extend(
        paths
            .iter()
            .filter(|path| path.extension().is_some_and(|ending| ending == "hl7"))
            .map(|path| fs::read(path).unwrap()),
    );
    messages
}

fn at() -> DateTime<FixedOffset> {
    DateTime::parse_from_rfc3339("2026-11-28T12:00:00+05:30").unwrap()
}

/// Reads and answers one message, whatever it holds.
fn check(message: &[u8], mapping: &Mapping) {
    let received = header(message);
    let read = read_row(message, mapping);
    let outcome = match &read {
        Ok(row) => {
            assert!(row.get("message").is_some_and(|text| text.starts_with("MSH")));
            assert!(row.get("message_control_id").is_some());
            assert_eq!(row.values().len(), mapping.columns().len());
            Outcome::Accepted
        }
        Err(problem) => {
            assert!(!problem.to_string().is_empty());
            Outcome::Rejected(problem)
        }
    };
    let answers = acknowledge(&received, outcome, at());
    if !received.is_enhanced() {
        assert_eq!((answers.accept.is_some(), answers.application.is_some()), (false, true));
    }
    for answer in answers.messages() {
        let back = header(answer);
        assert_eq!(back.message_type, "ACK", "{} of {}", answer.escape_ascii(), message.escape_ascii());
        // An answer is a message like any other, and says what was decided. What is no text, it gives back as it came.
        let is_text = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !is_text(&received.sending_application) || !is_text(&received.control_id) || message.contains(&0) {
            continue;
        }
        assert_eq!(back.receiving_application, received.sending_application);
        let row = match read_row(answer, mapping) {
            Ok(row) => row,
            // Where points delimit something and nothing escapes them, no version can be written.
            Err(problem) if problem.reason == RejectReason::Hl7Version => continue,
            Err(problem) => panic!("an answer that is none: {problem}"),
        };
        let text = row.get("message").unwrap();
        let field = text.chars().nth(3).unwrap();
        let msa = text.split('\r').find(|line| line.starts_with("MSA")).unwrap();
        let code = msa.split(field).nth(1).unwrap();
        let expected: &[&str] = if read.is_ok() { &["AA", "CA"] } else { &["AE", "AR", "CA", "CR"] };
        assert!(expected.contains(&code), "{code}");
        assert_eq!(msa.split(field).nth(2).unwrap_or_default(), received.control_id);
    }
}

/// Spoils a message as senders and networks do.
fn spoil(rng: &mut SmallRng, message: &mut Vec<u8>, messages: &[Vec<u8>]) {
    let at = rng.random_range(0..=message.len());
    match rng.random_range(0..6) {
        0 => message.truncate(at),
        1 => {
            let (from, to) = (*b"|^~\\&\r".choose(rng).unwrap(), rng.random_range(0x20..0x7F));
            message.iter_mut().filter(|byte| **byte == from).for_each(|byte| *byte = to);
        }
        2 => {
            let charset = ["8859/1", "ASCII", "UNICODE UTF-8", "UNICODE UTF-16", "ISO IR87", "GB 18030-2000", "x"];
            let line = message.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(message.len());
            let mut fields: Vec<Vec<u8>> = message[..line].split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect();
            fields.resize(fields.len().max(18), Vec::new());
            fields[17] = charset.choose(rng).unwrap().as_bytes().to_vec();
            message.splice(..line, fields.join(&b'|'));
        }
        3 => {
            for _ in 0..rng.random_range(1..20) {
                if !message.is_empty() {
                    let at = rng.random_range(0..message.len());
                    message[at] |= 0x80;
                }
            }
        }
        4 => {
            let feeds = [&b"\n"[..], b"\r\n"].choose(rng).copied().unwrap_or_default();
            *message = message.split(|byte| *byte == b'\r').collect::<Vec<_>>().join(feeds);
        }
        _ => mutate::mutate(rng, Shape::Hl7, message, messages),
    }
}

#[test]
fn any_message_is_read_and_answered() {
    let messages = messages();
    let mapping = Mapping::default();
    for message in &messages {
        check(message, &mapping);
    }
    let end = Instant::now() + Duration::from_secs(setting("WARDLAKE_FUZZ_SECONDS", 5));
    let first = setting("WARDLAKE_FUZZ_SEED", 1);
    let mut seed = first;
    while seed == first || Instant::now() < end {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut message = messages.choose(&mut rng).cloned().unwrap_or_default();
        for _ in 0..rng.random_range(1..5) {
            spoil(&mut rng, &mut message, &messages);
        }
        let result = std::panic::catch_unwind(|| check(&message, &mapping));
        if let Err(panic) = result {
            println!("answers seed {seed}: {:?}", String::from_utf8_lossy(&message));
            std::panic::resume_unwind(panic);
        }
        // Nothing of a stream is lost: what is in frames comes out of them, what is not comes out as broken.
        let mut decoder = Decoder::new(1 << 20);
        decoder.push(&framed(&message));
        decoder.finish();
        let frames: Vec<Frame> = std::iter::from_fn(|| decoder.next_frame()).collect();
        assert!(!frames.is_empty(), "answers seed {seed}: a frame without an answer");
        for frame in frames {
            if let Frame::Message(message) = frame {
                check(&message, &mapping);
            }
        }
        seed += 1;
    }
    println!("answers: {} messages, seeds {first} to {}", seed - first, seed - 1);
}
