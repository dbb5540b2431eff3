//! `cargo run --example report_routes_hyper`: a web service that receives a vendor's delivery reports, with hyper alone.
//!
//! `postduif::webhooks::Reports` (feature `webhooks`) does what `reports` does here, for several vendors, and stores the
//! reports.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{convert::Infallible, error::Error, sync::Arc, time::SystemTime};

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use postduif::{Message, ReportParser, ReportRequest, Settings, Text};
use postduif_sandbox::{ReportOrder, ReportStatus, Sandbox};
use tokio::net::TcpListener;

const MAX_BODY: usize = 1_000_000;

/// `origin` is scheme and host of the public URL, as the vendor knows it.
async fn reports(
    origin: &str,
    parser: &dyn ReportParser,
    request: Request<Incoming>,
) -> (u16, &'static str) {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return (413, "");
    };
    let (target, body) = (parts.uri.to_string(), body.to_bytes());
    let request = ReportRequest::from_http(
        origin,
        parts.method.as_str(),
        &target,
        &parts.headers,
        &body,
    );
    let result = parser.parse(&request, SystemTime::now().into());
    match &result {
        // Store them here, and respond 503 where that fails.
        Ok(reports) => reports.iter().for_each(|report| println!("{report:?}")),
        Err(error) => println!("refused: {error}"),
    }
    parser.reply(&result)
}

async fn serve(listener: TcpListener, origin: String, parser: Arc<dyn ReportParser>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (origin, parser) = (origin.clone(), Arc::clone(&parser));
        let service = service_fn(move |request| {
            let (origin, parser) = (origin.clone(), Arc::clone(&parser));
            async move {
                let (status, text) = reports(&origin, &*parser, request).await;
                let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
                *response.status_mut() =
                    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                Ok::<_, Infallible>(response)
            }
        });
        // The timer cuts off a client that sends its headers slowly.
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In place of a vendor.
    let sandbox = Sandbox::start().await;
    let url = format!("{}&report_secret=sandbox", sandbox.sms_url("smstools"));
    let settings = Settings::from_url(&url)?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    tokio::spawn(serve(listener, origin.clone(), settings.reports()?));

    let message = Message::new("+31612345678".parse()?, Text::new("Your code is 482913")?);
    let receipt = settings.open()?.send(&message).await?;
    println!("sent: {}", receipt.reference());
    let order = ReportOrder::new(receipt.reference().as_str(), ReportStatus::Delivered);
    let status = sandbox
        .deliver_report(&order, &format!("{origin}/reports/smstools"))
        .await?;
    println!("responded: {status:?}");
    Ok(())
}
