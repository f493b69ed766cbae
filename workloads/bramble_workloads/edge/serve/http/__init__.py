"""An HTTP/1.1 server for the device's API, on the parser llhttp (httptools)."""
