/** A field of a message: a number, or the bytes of a text or an inner message. */
export interface Field {
  id: number;
  value: bigint | Buffer;
}

/** The fields of a message as they stand; what they mean its definition says. https://protobuf.dev/programming-guides/encoding */
export function readFields(message: Buffer): Field[] {
  const fields: Field[] = [];
  let offset = 0;

  function readVarint(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message.readUInt8(offset++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  }

  function take(bytes: number): Buffer {
    offset += bytes;
    return message.subarray(offset - bytes, offset);
  }

  function readValue(wireType: number): bigint | Buffer {
    switch (wireType) {
      case 0:
        return readVarint();
      case 1:
        return take(8).readBigUInt64LE();
      case 2:
        return take(Number(readVarint()));
      case 5:
        return BigInt(take(4).readUInt32LE());
      default:
        throw new Error(`wire type ${wireType} at ${offset}`);
    }
  }

  while (offset < message.length) {
    const tag = Number(readVarint());
    fields.push({ id: tag >> 3, value: readValue(tag & 7) });
  }
  return fields;
}
