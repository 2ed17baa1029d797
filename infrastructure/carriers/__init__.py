"""What carries a payment from one phone to another: QR, barcode, NFC and sound."""
