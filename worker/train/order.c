#include "worker/train/order.h"

int order_flights(int stages, int stage, int64_t m)
{
    const int64_t most = stages - stage;
    return (int)(m < most ? m : most);
}

OrderStep order_step(int stages, int stage, int64_t m, int64_t k)
{
    const int64_t ahead = order_flights(stages, stage, m) - 1; /* forwards before the first pair */
    if (k < ahead)
        return (OrderStep){ false, k };
    if (k >= 2 * m - ahead)
        return (OrderStep){ true, k - m };
    const int64_t pair = (k - ahead) / 2;
    const bool back = (k - ahead) % 2 == 1;
    return (OrderStep){ back, back ? pair : ahead + pair };
}
