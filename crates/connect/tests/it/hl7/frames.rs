//! However a connection's bytes arrive, the same frames come out of them.

use proptest::prelude::*;
use wardlake_connect::hl7::{Decoder, Frame, framed};

const LIMIT: usize = 60;

fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
    let mut decoder = Decoder::new(LIMIT);
    pieces.iter().for_each(|piece| decoder.push(piece));
    decoder.finish();
    std::iter::from_fn(|| decoder.next_frame()).collect()
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(framed(b"MSH|^~\\&|A\rPID|1\r")),
        Just(framed(b"MSH|1\rMSH|2")),
        Just(b"\x0B".to_vec()),
        Just(b"\x1C\r".to_vec()),
        Just(b"\x1C".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"MSH|lost\r".to_vec()),
        Just(b"M".to_vec()),
        Just(b"BTS|1\r".to_vec()),
        Just(b"\0".to_vec()),
        Just(vec![b'x'; LIMIT]),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn any_split_of_a_stream_gives_the_same_frames(stream in stream(), cuts in prop::collection::vec(0..200_usize, 0..20)) {
        let whole = frames(&[&stream]);
        let each: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(&frames(&each), &whole);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let some: Vec<&[u8]> = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect();
        prop_assert_eq!(&frames(&some), &whole);
    }

    #[test]
    fn whole_messages_come_through_whatever_stands_between_them(
        texts in prop::collection::vec("[a-z|^]{0,40}", 1..6),
        between in "[a-z\r\n ]{0,9}",
    ) {
        let messages: Vec<Vec<u8>> = texts.iter().map(|text| format!("MSH|{text}").into_bytes()).collect();
        let stream: Vec<u8> = messages.iter().flat_map(|message| [framed(message), between.clone().into_bytes()].concat()).collect();
        let found: Vec<Vec<u8>> = frames(&[&stream])
            .into_iter()
            .filter_map(|frame| match frame {
                Frame::Message(bytes) => Some(bytes),
                Frame::Broken { .. } => None,
            })
            .collect();
        prop_assert_eq!(found, messages);
    }
}

#[test]
fn a_decoder_knows_whether_it_waits() {
    let mut decoder = Decoder::new(LIMIT);
    for (bytes, is_waiting) in
        [(&b"\r\n"[..], false), (b"\x0BMSH|", true), (b"1", true), (b"\x1C", false), (b"\r", false)]
    {
        decoder.push(bytes);
        assert_eq!(decoder.is_waiting(), is_waiting, "{bytes:?}");
    }
    assert_eq!(decoder.next_frame(), Some(Frame::Message(b"MSH|1".to_vec())));
    assert_eq!(decoder.next_frame(), None);
}
