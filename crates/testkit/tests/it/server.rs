use std::io::ErrorKind;

use postduif_testkit::refusing_address;
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn a_refusing_address_refuses_and_is_not_reused() {
    let address = refusing_address().await;
    for _ in 0..3 {
        let refused = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    let taken = TcpListener::bind(address).await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
}
