#include "ps/outgoing_values.h"

void outgoing_values_release(OutgoingValues *values)
{
    for (int i = 0; i < values->count; i++)
        wire_bytes_free(values->pieces[i].bytes);
    *values = (OutgoingValues){ 0 };
}

static OutgoingPiece *make_room(OutgoingValues *values)
{
    if (values->count < OUTGOING_PIECES)
        return &values->pieces[values->count++];
    OutgoingPiece *piece = &values->pieces[values->oldest];
    values->oldest = (values->oldest + 1) % OUTGOING_PIECES;
    wire_bytes_free(piece->bytes);
    return piece;
}

const WireBytes *outgoing_values_of(OutgoingValues *values, const Msg *msg)
{
    if (values->version != msg->version) {
        outgoing_values_release(values);
        values->version = msg->version;
    }
    for (int i = 0; i < values->count; i++)
        if (values->pieces[i].at == msg->at)
            return values->pieces[i].bytes;
    OutgoingPiece *piece = make_room(values);
    *piece = (OutgoingPiece){ msg->at, wire_bytes_new(msg->data, msg->size) };
    return piece->bytes;
}
