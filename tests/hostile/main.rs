mod frames;
mod half_open;
mod http2;
mod mqtt;
mod peer;
mod scene;
mod support;
