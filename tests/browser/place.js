// Places an order as the form does, and goes nowhere.
async ([amount, method, card]) => {
    const digits = "0123456789abcdefghjkmnpqrstvwxyz";
    let reference = "", time = Date.now();
    for (let i = 0; i < 10; i += 1) {
        reference = digits[time % 32] + reference;
        time = Math.floor(time / 32);
    }
    for (let i = 0; i < 16; i += 1) reference += digits[Math.floor(Math.random() * 32)];
    const answer = await fetch(document.getElementById("order-form").dataset.post, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ reference, amount, method, card }),
    });
    return answer.json();
}
