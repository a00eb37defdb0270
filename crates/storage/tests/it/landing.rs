//! Landing files under the hash of their content.

use bytes::Bytes;
use object_store::ObjectStoreExt;
use wardlake_storage::Lake;

use crate::support::lake;

const HASH: &str = "ab12cd";

#[tokio::test(flavor = "multi_thread")]
async fn bytes_land_once_under_their_hash() {
    let lake = lake().await;
    for (round, is_new) in [(0, true), (1, false)] {
        let mut writer = lake.landing_writer().await.unwrap();
        for _ in 0..30 {
            writer.write(Bytes::from(vec![7u8; 1 << 20])).await.unwrap();
        }
        let (path, new) = writer.finish(HASH).await.unwrap();
        assert_eq!((path.as_ref(), new), ("_landing/ab/ab12cd", is_new), "round {round}");
    }
    assert!(lake.has_landed(HASH).await.unwrap());
    let size = lake.object_store().head(&Lake::landing_path(HASH)).await.unwrap().size;
    assert_eq!(size, 30 << 20);
    let mut writer = lake.landing_writer().await.unwrap();
    writer.write(Bytes::from_static(b"half")).await.unwrap();
    writer.abort().await.unwrap();
    let left = std::fs::read_dir(lake.folder.path().join("_landing/tmp")).unwrap().count();
    assert_eq!(left, 0);
    assert!(lake.table_names().await.unwrap().is_empty());
}
